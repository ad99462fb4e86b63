/**
 * A session that was lost on the way (`refresh_lost`) is renewed by one round trip through the authorization server that
 * shows no form. Where it does not know the person any more, its refusal ends the try: nothing is tried twice in a minute.
 */

import * as bff from "./bff.js";

const PLACE = "bff.renewal";
const ONCE_IN = 60_000; // milliseconds

/** Leaves to renew the session and says so, unless that was tried just now, or nobody is looking at this tab. */
export function renew() {
  const last = latest();
  const isEarly = last !== null && Date.now() - last.at < ONCE_IN;
  if (isEarly || document.visibilityState !== "visible" || !remember()) return false;
  bff.login({ prompt: "none" });
  return true;
}

/**
 * The last try of this tab: when it was, and what it was to come back to.
 * @returns {{at: number, returnTo: string} | null}
 */
export function latest() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
  } catch {
    return null;
  }
}

/** Without storage nothing is renewed: a refusal could come round for ever. */
function remember() {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ at: Date.now(), returnTo: location.pathname + location.search }));
    return true;
  } catch {
    return false;
  }
}
