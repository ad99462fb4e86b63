import type { SignedIn } from "./bff.js";

/** `unknown` until the first answer, and while the page is out of view: show nothing personal then. */
export type SessionState =
  | { readonly status: "signed-in"; readonly user: SignedIn; readonly reason: string | null }
  | { readonly status: "signed-out"; readonly user: null; readonly reason: string | null }
  | { readonly status: "unknown"; readonly user: null; readonly reason: string | null };

/** The session as this page knows it; a component that uses it is drawn again at every change, in any tab. */
export function useSession(): SessionState;
