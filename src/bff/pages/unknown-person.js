// The authorization server does not know this person any more. Where that was asked in order to renew a session that got
// lost, this page says what happened, and leads back to where it happened.
import { latest } from "./renewal.js";
import { whyEnded } from "./words.js";

const renewal = latest();
if (renewal !== null && Date.now() - renewal.at < 60_000) {
  const [heading, text] = document.querySelectorAll("#outcome h1, #outcome p");
  heading.textContent = document.title = "You are signed out";
  text.textContent = `${whyEnded("refresh_lost")} The sign-in service does not know you in this browser any more.`;
  const signIn = /** @type {HTMLAnchorElement} */ (document.querySelector("#outcome a"));
  signIn.href = `/bff/login?${new URLSearchParams({ return_to: renewal.returnTo })}`;
}
