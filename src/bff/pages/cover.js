/**
 * Hides what is personal while it is not known whether the same person is still signed in: a tab that comes back into
 * view, or a page that the browser kept alive, must not show one account's content to another.
 */

import * as bff from "./bff.js";
import { hush } from "./dom.js";

const cover = /** @type {HTMLElement} */ (document.getElementById("cover"));
const text = /** @type {HTMLElement} */ (document.getElementById("cover-text"));
const again = /** @type {HTMLElement} */ (document.getElementById("cover-again"));
const CHECKING = text.textContent;

/** @type {Element | null} */
let focused = null;

/** Whether something is hidden now. */
export function hasConcealed() {
  return "concealed" in document.documentElement.dataset;
}

/** Everything in the page's main part becomes invisible, to the eye and to assistive technology, and keeps its state. */
export function conceal() {
  if (hasConcealed()) return;
  focused = document.activeElement;
  hush();
  document.documentElement.dataset.concealed = "";
  text.textContent = CHECKING;
  again.hidden = true;
  cover.hidden = false;
}

/** @param {{restoreFocus: boolean}} options */
export function reveal({ restoreFocus }) {
  if (!hasConcealed()) return;
  delete document.documentElement.dataset.concealed;
  cover.hidden = true;
  if (restoreFocus && focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
  focused = null;
}

/** @param {string} why the question got no answer */
export function sayUnreachable(why) {
  text.textContent = `${why} Your content is hidden until it is certain that you are still signed in.`;
  again.hidden = false;
}

again.addEventListener("click", () => {
  text.textContent = CHECKING;
  again.hidden = true;
  bff.user({ fresh: true }).catch(() => undefined);
});
