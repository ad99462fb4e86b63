/** The API's documentation. "Try it out" goes through the session, like every other call of this site. */

import * as bff from "./bff.js";
import { asProblem, explain, nameOf } from "./words.js";

const who = /** @type {HTMLElement} */ (document.getElementById("who"));
let isSigningOut = false; // then the page is left, and a reload would get in the way

// The heading is this page's own, and there is one server: this one. A curl command would lack the cookie that no script
// can read, so it would not work anywhere.
const nothing = () => () => null;

/**
 * The text area of a request's body has no label of its own.
 * @param {unknown} TextArea
 * @param {{React: {createElement: (type: unknown, props: object) => unknown}}} system
 */
const labelled = (TextArea, { React }) => (/** @type {object} */ props) =>
  React.createElement(TextArea, { ...props, "aria-label": "Request body" });

const COMPONENTS = { InfoContainer: nothing, ServersContainer: nothing, curl: nothing, TextArea: labelled };

/** @param {import("./bff.js").SessionChange} change */
function hear(change) {
  document.documentElement.toggleAttribute("data-concealed", change.kind === "unconfirmed");
  if (change.kind === "unconfirmed") return;
  if (change.kind === "unreachable") {
    who.textContent = explain(change.problem);
    return;
  }
  const { user, previous } = change;
  // What was tried out shows somebody's data: it goes with their session.
  if (previous?.authenticated && change.kind !== "confirmed" && !isSigningOut) location.reload();
  document.documentElement.dataset.session = user.authenticated ? "signed-in" : "signed-out";
  who.textContent = user.authenticated
    ? `You are signed in as ${nameOf(user)}: a call that you try here is made in your name.`
    : "You are not signed in: a call that you try here is answered with 401.";
}

/**
 * The headers that `bff.js` adds to a call. Swagger UI makes its calls itself.
 * @param {{url: string, headers: Record<string, string>}} request
 */
async function inTheNameOfTheSession(request) {
  if (new URL(request.url, location.origin).origin !== location.origin) return request;
  const user = await bff.user().catch(() => null);
  request.headers["X-CSRF"] = "1";
  if (user?.authenticated) request.headers["X-BFF-Session"] = user.session.tag;
  return request;
}

document.querySelector("[data-logout]")?.addEventListener("click", async () => {
  isSigningOut = true;
  try {
    await bff.logout();
  } catch (error) {
    isSigningOut = false;
    who.textContent = `You are still signed in. ${explain(asProblem(error))}`;
  }
});

bff.onSessionChange(hear);
bff.user().catch(() => undefined); // a failure is heard like any other
SwaggerUIBundle({
  url: "/docs/openapi.json",
  dom_id: "#swagger",
  deepLinking: false,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [() => ({ wrapComponents: COMPONENTS })],
  requestInterceptor: inTheNameOfTheSession,
});
