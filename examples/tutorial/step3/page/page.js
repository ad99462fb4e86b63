import { fetch, login, logout, user } from "/assets/bff.js";

const element = (id) => document.getElementById(id);
element("sign-in").addEventListener("click", () => login());
element("sign-out").addEventListener("click", () => logout());

const somebody = await user();
if (somebody.authenticated) {
  element("who").textContent = `Hi ${somebody.claims.name}!`;
  element("sign-out").hidden = false;
  const token = await (await fetch("/app/token")).json();
  element("token").textContent = `The app holds an access token for ${token.good_for_seconds} s: ${token.scopes.join(", ")}.`;
} else {
  element("who").textContent = "Nobody is signed in.";
  element("sign-in").hidden = false;
}
