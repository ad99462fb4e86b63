/** The page: its paths, who is signed in, and what is shown to whom. Every view is drawn for one session and goes with it. */

import { account } from "./account.js";
import * as bff from "./bff.js";
import { conceal, hasConcealed, reveal, sayUnreachable } from "./cover.js";
import { copyOf, fill, hush } from "./dom.js";
import * as drafts from "./drafts.js";
import { home } from "./home.js";
import * as notice from "./notice.js";
import { renew } from "./renewal.js";
import { announce, follow, isPlain } from "./router.js";
import { todos } from "./todos.js";
import { asProblem, explain, nameOf, referenceOf, whyEnded } from "./words.js";

/**
 * @typedef {object} View
 * @property {(person: import("./bff.js").SignedIn) => void} [refresh] the same person is back: show what is true by now
 * @property {() => void} [leave]
 */

/** @type {Record<string, {name: string, draw: (main: HTMLElement, person: import("./bff.js").SignedIn) => View}>} */
const PERSONAL = {
  "/todos": { name: "your to-do list", draw: todos },
  "/account": { name: "your account", draw: account },
};

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble"));
const offline = /** @type {HTMLElement} */ (document.getElementById("offline"));

/** @type {import("./bff.js").User | null} */
let user = null;
/** @type {View} */
let view = {};
/** @type {import("./notice.js").Notice | null} */
let interruption = null; // what befell the session, until the person goes on
let isSigningOut = false;

/** @param {{focus?: boolean}} [options] */
function draw({ focus = true } = {}) {
  view.leave?.();
  view = viewOf(location.pathname);
  announce(main, { focus });
}

/**
 * @param {string} path
 * @returns {View}
 */
function viewOf(path) {
  const personal = PERSONAL[path];
  if (user === null) return drawLoading();
  if (path === "/") return home(main, user);
  if (personal === undefined) return notice.show(main, nothingHere(path));
  if (interruption !== null) return notice.show(main, interruption);
  return user.authenticated ? personal.draw(main, user) : notice.show(main, signInFirst(personal.name));
}

/** @returns {View} */
function drawLoading() {
  main.replaceChildren(copyOf("view-loading"));
  return {};
}

/**
 * @param {string} path
 * @returns {import("./notice.js").Notice}
 */
function nothingHere(path) {
  return {
    icon: "nothing",
    title: "There is nothing here",
    text: `This site has no page ${path}.`,
    ways: [{ label: "Go to the start", to: "/" }],
  };
}

/**
 * @param {string} name
 * @returns {import("./notice.js").Notice}
 */
function signInFirst(name) {
  return {
    icon: "key",
    title: `Sign in to see ${name}`,
    text: "You come back to this page afterwards.",
    ways: [
      { label: "Sign in", login: {} },
      { label: "Sign up", login: { prompt: "create" } },
    ],
  };
}

/**
 * @param {string} subject
 * @param {string | null} reason
 * @returns {import("./notice.js").Notice}
 */
function signedOut(subject, reason) {
  return {
    icon: "leave",
    title: "You are signed out",
    text: whyEnded(reason),
    kept: drafts.find(subject) !== null,
    ways: [
      { label: "Sign in again", login: {} },
      { label: "Go to the start", to: "/" },
    ],
  };
}

/**
 * @param {import("./bff.js").SignedIn} before
 * @param {import("./bff.js").SignedIn} now
 * @returns {import("./notice.js").Notice}
 */
function somebodyElse(before, now) {
  return {
    icon: "people",
    title: "Somebody else is signed in now",
    text: `This tab was showing what belongs to ${nameOf(before)}. Meanwhile ${nameOf(now)} signed in with this browser.`,
    kept: drafts.find(before.sub) !== null,
    ways: [
      { label: `Go on as ${nameOf(now)}`, act: goOn },
      { label: "Sign in as somebody else", login: { prompt: "select_account" } },
    ],
  };
}

function goOn() {
  interruption = null;
  draw();
}

/** @param {import("./bff.js").SessionChange} change */
function hear(change) {
  if (change.kind === "unconfirmed") conceal();
  else if (change.kind === "unreachable") loseSight(change.problem);
  else settle(change);
}

/** @param {import("./bff.js").Problem} problem */
function loseSight(problem) {
  if (hasConcealed()) return sayUnreachable(explain(problem));
  if (user !== null) return;
  view = notice.show(main, {
    icon: "alone",
    title: "This page cannot tell who you are",
    text: explain(problem),
    reference: referenceOf(problem),
    ways: [{ label: "Try again", act: () => void bff.user({ fresh: true }).catch(() => undefined) }],
  });
  announce(main, { focus: false });
}

/** @param {Extract<import("./bff.js").SessionChange, {user: unknown}>} change */
function settle({ user: now, previous, reason }) {
  const isFirst = user === null;
  user = now;
  document.documentElement.dataset.session = now.authenticated ? "signed-in" : "signed-out";
  const before = previous?.authenticated ? previous : null;
  const after = now.authenticated ? now : null;
  if (before !== null && before.sub === after?.sub) {
    view.refresh?.(after);
    return reveal({ restoreFocus: true });
  }
  const isSame = !isFirst && before === null && after === null;
  if (!isSame) {
    view.leave?.();
    view = {};
    hush();
    if (isSigningOut) drafts.drop();
    if (after === null && reason === "refresh_lost" && renew()) return;
    interruption = interruptionOf(before, after, isSigningOut ? "signed_out" : reason);
    draw({ focus: !isFirst });
  }
  reveal({ restoreFocus: false });
}

/**
 * @param {import("./bff.js").SignedIn | null} before
 * @param {import("./bff.js").SignedIn | null} after
 * @param {string | null} reason
 */
function interruptionOf(before, after, reason) {
  if (before === null) return null;
  return after === null ? signedOut(before.sub, reason) : somebodyElse(before, after);
}

/** @param {HTMLButtonElement} button */
async function signOut(button) {
  isSigningOut = true;
  button.setAttribute("aria-busy", "true");
  fill(trouble, null);
  try {
    await bff.logout();
  } catch (error) {
    const problem = asProblem(error);
    if (user?.authenticated && problem.slug !== "no-session" && problem.slug !== "session-ended") {
      fill(trouble, `You are still signed in. ${explain(problem)}`);
    }
  } finally {
    isSigningOut = false;
    button.removeAttribute("aria-busy");
  }
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target.closest("[data-login], [data-logout]") : null;
  if (target instanceof HTMLButtonElement) void signOut(target);
  if (!(target instanceof HTMLAnchorElement) || !isPlain(event)) return;
  event.preventDefault();
  const { login: returnTo, prompt } = target.dataset;
  bff.login({ returnTo: returnTo || undefined, prompt: /** @type {"create" | undefined} */ (prompt) });
});
for (const name of ["online", "offline"]) addEventListener(name, () => void (offline.hidden = navigator.onLine));
offline.hidden = navigator.onLine;

bff.onSessionChange(hear);
follow(
  (path) => path === "/" || path in PERSONAL,
  () => {
    fill(trouble, null);
    draw();
  },
);
draw({ focus: false });
bff.user().catch(() => undefined); // a failure is heard like any other
