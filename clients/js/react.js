/** A React hook over `bff.js`: who is signed in, and every change of it, in any tab. */

import { useSyncExternalStore } from "react";
import { onSessionChange, user } from "./bff.js";

/** @type {import("./react.d.ts").SessionState} */
let state = { status: "unknown", user: null, reason: null };
/** @type {Set<() => void>} */
const readers = new Set();

/** @param {import("./react.d.ts").SessionState} next */
function become(next) {
  state = next;
  for (const read of readers) read();
}

onSessionChange((change) => {
  if (change.kind === "unreachable") become({ ...state, reason: "unreachable" });
  else if (change.kind === "unconfirmed") become({ status: "unknown", user: null, reason: null });
  else if (change.user.authenticated) become({ status: "signed-in", user: change.user, reason: null });
  else become({ status: "signed-out", user: null, reason: change.reason });
});

/** @param {() => void} read */
function subscribe(read) {
  readers.add(read);
  if (state.status === "unknown") user().catch(() => {}); // onSessionChange hears what came of it
  return () => readers.delete(read);
}

/** The session as this page knows it; a component that uses it is drawn again at every change. */
export function useSession() {
  return useSyncExternalStore(subscribe, () => state);
}
