/** The page's side of the BFF. See `bff.js`. */

/** Someone is signed in. Instants are in seconds since the epoch, by the server's clock. */
export interface SignedIn {
  readonly authenticated: true;
  readonly sub: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly session: {
    readonly began_at: number;
    /** The absolute end. It never moves. */
    readonly expires_at: number;
    /** The end if nothing is done until then. */
    readonly idle_expires_at: number;
    /** When the person proved who they are (OIDC Core 2), where the authorization server says it. */
    readonly auth_time: number | null;
    readonly acr: string | null;
    /** Tells sessions apart. Public within this site: no secret, and no way back to one. */
    readonly tag: string;
  };
  /** Ends this session by a plain link, for pages without script. */
  readonly logout_url: string;
  readonly antiforgery: { readonly header: string; readonly value: string };
}

export interface Anonymous {
  readonly authenticated: false;
  readonly login_url: string;
  /** The BFF's word for why the session of this browser ended, in the first answer after its end. */
  readonly reason?: string;
}

export type User = SignedIn | Anonymous;

/**
 * - `signed-in`, `signed-out`, `switched`: another session than `previous`, or none. `reason` is the BFF's word for why a
 *   session ended, where it is known. `previous` is null for the first answer on this page.
 * - `confirmed`: asked again, and it is still the same session.
 * - `unconfirmed`: the page left the view or came back from the back/forward cache. Hide what is personal until any other
 *   kind but `unreachable` follows.
 * - `unreachable`: the question got no answer; what was known is neither confirmed nor refuted.
 */
export type SessionChange =
  | {
      readonly kind: "signed-in" | "signed-out" | "switched" | "confirmed";
      readonly user: User;
      readonly previous: User | null;
      readonly reason: string | null;
    }
  | { readonly kind: "unconfirmed" }
  | { readonly kind: "unreachable"; readonly problem: Problem };

export interface LoginOptions {
  /** A path of this site. Default: the current one. */
  readonly returnTo?: string;
  /** `create` asks for the sign-up form, `login` for a sign-in even where one is remembered. */
  readonly prompt?: "create" | "login" | "none" | "consent" | "select_account";
  readonly loginHint?: string;
}

export interface ProblemMembers {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string | null;
  readonly reason?: string | null;
  readonly traceId?: string | null;
  readonly retryAfter?: number | null;
  readonly members?: Readonly<Record<string, unknown>>;
}

/** A refusal or an outage (RFC 9457). `status` 0 with slug `unreachable` means that no answer came at all. */
export class Problem extends Error {
  constructor(members: ProblemMembers);
  /** Reads the problem out of an answer. One without a readable body is named by its status: slug `http-404`. */
  static from(response: Response): Promise<Problem>;
  readonly type: string;
  /** The last part of `type`: `no-session`, `upstream-timeout`, … */
  readonly slug: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string | null;
  /** Why the session ended, with slug `session-ended`. */
  readonly reason: string | null;
  /** What to quote when asking the people who run the site. */
  readonly traceId: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
  /** The whole body, with whatever else this type of problem tells (RFC 9457 3.2). */
  readonly members: Readonly<Record<string, unknown>>;
}

/** Leaves this page to sign in, and comes back. Nothing here ever does it by itself. */
export function login(options?: LoginOptions): void;

/** Ends the session here and in every tab, then leaves to end it at the authorization server. Throws a `Problem`. */
export function logout(): Promise<void>;

/** Who is signed in: from memory once known, from the server with `fresh`. Throws a `Problem`. */
export function user(options?: { readonly fresh?: boolean }): Promise<User>;

/** Milliseconds since the epoch by the server's clock. */
export function serverNow(): number;

/**
 * `window.fetch` for paths of this site, in the name of the session this page knows: the call of a page that still shows
 * one account is refused (409 `session-changed`) once another is signed in. Repeats a call once on `session-superseded`.
 *
 * @returns an answer below 400
 * @throws {Problem} for every other answer, and where none came
 * @throws {TypeError} for an address outside this site
 */
export function fetch(path: string, init?: RequestInit): Promise<Response>;

/** Hears every change, the first answer included. Returns a function that stops it. */
export function onSessionChange(listener: (change: SessionChange) => void): () => void;
