/** What the page says about refusals, outages and endings: plain, short, with the way on where there is one. */

import { Problem } from "./bff.js";

/** @type {Record<string, string>} by problem slug */
const PROBLEMS = {
  unreachable: "The server cannot be reached.",
  "no-session": "You are not signed in any more.",
  "session-ended": "Your session has ended.",
  "session-changed": "Somebody else is signed in now.",
  "unknown-session": "That session is over already.",
  "session-superseded": "Your session was renewed meanwhile. Try again.",
  "session-store-unavailable": "Sessions cannot be checked right now.",
  "authority-unavailable": "The sign-in service does not answer, so your session could not be renewed.",
  "upstream-unauthorized": "The to-do service did not accept your session.",
  "upstream-unavailable": "The to-do service does not answer.",
  "upstream-timeout": "The to-do service took too long to answer.",
  "too-many-requests": "That was a lot at once. Wait a moment, then try again.",
  "upstream-busy": "The to-do service is busy. Try again in a moment.",
  "antiforgery-header": "The server did not recognise this page. Reload it.",
  "antiforgery-cross-site": "The server did not recognise this page. Reload it.",
  "antiforgery-origin": "The server did not recognise this page. Reload it.",
  "insufficient-scope": "Your account may not do this.",
  "unknown-todo": "It was removed elsewhere.",
  "precondition-failed": "It was changed elsewhere at the same moment. Try again.",
  "keys-unavailable": "The to-do service cannot check who you are right now.",
  "store-unavailable": "The to-do service cannot read or write right now.",
};

/** @type {Record<string, string>} by the BFF's reason for an ending */
const ENDINGS = {
  signed_out: "You signed out.",
  replaced: "You signed in again, and that took this session’s place.",
  idle: "Nothing was done for a while, so you were signed out.",
  absolute: "The session reached its longest time.",
  session_expiry: "The sign-in service gave this session a time, and it is over.",
  backchannel: "You signed out somewhere else.",
  frontchannel: "You signed out somewhere else.",
  refresh_refused: "The sign-in service did not let this session go on.",
  refresh_lost: "An answer of the sign-in service got lost on the way, so this session could not go on.",
  too_large: "This session has grown too large to go on. If it happens again, tell the people who run this site.",
  stale_generation: "This session was used from two places at once, so it was ended to be safe.",
  ended_by_owner: "You ended this session from another of your devices.",
  admin: "The people who run this site ended your session.",
  epoch: "The people who run this site ended all sessions.",
};

/**
 * One sentence or two for a person.
 * @param {Problem} problem
 */
export function explain(problem) {
  const fields = /** @type {Record<string, unknown> | undefined} */ (problem.members.fields);
  if (typeof fields?.description === "string") return asSentence(`The text ${fields.description}`);
  return PROBLEMS[problem.slug] ?? asSentence(problem.detail ?? problem.title);
}

/**
 * What to quote to the people who run the site, where the fault may be theirs.
 * @param {Problem} problem
 */
export function referenceOf({ status, traceId }) {
  return status >= 500 && traceId !== null ? `Reference ${traceId}` : null;
}

/**
 * Why a session ended.
 * @param {string | null} reason
 */
export function whyEnded(reason) {
  return ENDINGS[reason ?? ""] ?? "You signed out in another tab, or your session came to its end.";
}

/**
 * Whatever was thrown, as a problem; what is no problem is a fault of ours and also goes to the console.
 * @param {unknown} error
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  reportError(error);
  return new Problem({ type: "about:blank", title: "Something on this page went wrong. Reload it.", status: 0 });
}

/**
 * What to call a person, from the friendliest claim there is.
 * @param {import("./bff.js").SignedIn} person
 */
export function nameOf({ claims, sub }) {
  for (const claim of ["given_name", "name", "preferred_username", "email"]) {
    const value = claims[claim];
    if (typeof value === "string" && value.trim() !== "") return value.trim();
  }
  return sub;
}

/** @param {string} text */
function asSentence(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
