/** The page instead of a page: why it cannot be shown, and the way on. */

import { copyOf, fill, slot } from "./dom.js";

/**
 * @typedef {object} WayOn
 * @property {string} label
 * @property {string} [to] a link
 * @property {import("./bff.js").LoginOptions} [login] a sign-in, by default back to here
 * @property {() => void} [act]
 *
 * @typedef {object} Notice
 * @property {"key" | "leave" | "people" | "nothing" | "alone"} icon
 * @property {string} title
 * @property {string} text
 * @property {string | null} [reference]
 * @property {boolean} [kept] whether something typed waits in this tab
 * @property {WayOn[]} ways the first is the one to take
 */

/**
 * @param {HTMLElement} main
 * @param {Notice} notice
 */
export function show(main, { icon, title, text, reference = null, kept = false, ways }) {
  main.replaceChildren(copyOf("view-notice"));
  slot(main, "icon").setAttribute("href", `#icon-${icon}`);
  slot(main, "title").textContent = title;
  slot(main, "text").textContent = text;
  slot(main, "kept").hidden = !kept;
  fill(slot(main, "reference"), reference);
  slot(main, "actions").replaceChildren(...ways.map(wayOn));
  return {};
}

/**
 * @param {WayOn} way
 * @param {number} index
 */
function wayOn({ label, to, login, act }, index) {
  const element = document.createElement(act ? "button" : "a");
  element.className = index === 0 ? "button" : "button quiet";
  element.textContent = label;
  if (element instanceof HTMLAnchorElement) element.href = to ?? "/bff/login";
  else element.type = "button";
  if (login) {
    element.dataset.login = login.returnTo ?? "";
    if (login.prompt) element.dataset.prompt = login.prompt;
  }
  if (act) element.addEventListener("click", act);
  return element;
}
