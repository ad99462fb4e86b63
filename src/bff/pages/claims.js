/** What the claims of an ID token mean: OIDC Core 2 and 5.1, and those that Entra External ID adds. */

/** @type {Record<string, string>} */
export const MEANINGS = {
  acr: "How strongly you proved who you are",
  amr: "The methods you proved it with",
  at_hash: "Binds this ID token to the access token issued with it",
  aud: "Who the token is for: this application",
  auth_time: "When you last proved who you are",
  azp: "The application that asked for the token",
  c_hash: "Binds this ID token to the authorization code it came with",
  email: "Your e-mail address; it may change, so it does not identify you",
  email_verified: "Whether the sign-in service has checked the address",
  exp: "The token must not be accepted after this",
  family_name: "Your family name",
  given_name: "Your given name",
  iat: "When the token was issued",
  idp: "Where you proved who you are, if not at the sign-in service itself",
  idtyp: "Whether the token speaks of a person or an application",
  iss: "Who issued the token",
  locale: "Your language",
  login_hint: "Tells the sign-in service at sign-out which account is meant",
  name: "Your name, for showing",
  nbf: "The token must not be accepted before this",
  nonce: "Binds the token to the sign-in that was begun here",
  oid: "Your account’s id in the directory, the same for every application",
  picture: "The address of your picture",
  preferred_username: "The name you sign in with; it may change",
  rh: "Used by the sign-in service itself",
  roles: "Your roles in this application",
  sid: "The session at the sign-in service",
  sub: "Your id at this application; it never changes",
  tid: "The tenant your account is in",
  unique_name: "A name for showing",
  updated_at: "When your profile last changed",
  upn: "The name of your account",
  uti: "The token’s own id",
  ver: "The version of the token’s format",
  zoneinfo: "Your time zone",
};

const INSTANTS = new Set(["auth_time", "exp", "iat", "nbf", "updated_at"]);

/**
 * The instant that a claim tells, in seconds since the epoch (RFC 7519 2, NumericDate), or null.
 * @param {string} name
 * @param {unknown} value
 */
export function instantOf(name, value) {
  return INSTANTS.has(name) && typeof value === "number" ? value : null;
}

/** @param {unknown} value */
export function inWords(value) {
  if (typeof value === "string") return value;
  const line = JSON.stringify(value);
  return line.length > 48 ? JSON.stringify(value, null, 2) : line;
}
