/** The first page: what this is, or where to go on. */

import { copyOf, slot } from "./dom.js";
import { nameOf } from "./words.js";

/**
 * @param {HTMLElement} main
 * @param {import("./bff.js").User} user
 */
export function home(main, user) {
  main.replaceChildren(copyOf(user.authenticated ? "view-home-signed-in" : "view-home-signed-out"));
  if (!user.authenticated) return {};
  slot(main, "greeting").textContent = `Hi ${nameOf(user)}!`;
  const account = user.claims.email ?? user.claims.preferred_username;
  slot(main, "account").textContent = typeof account === "string" ? `You are signed in as ${account}.` : "You are signed in.";
  return {};
}
