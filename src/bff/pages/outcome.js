// A sign-in that has expired may belong to somebody who is signed in by now: a second delivery of the same answer, a
// reload, a press of the back button. The session cookie never reaches the callback itself, so this page asks.
const answer = await fetch("/bff/user", { headers: { "X-CSRF": "1" } }).catch(() => null);
if (answer?.ok && (await answer.json()).authenticated) {
  location.replace("/");
}
