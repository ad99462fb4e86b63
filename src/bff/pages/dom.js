/** The few things that every view does to the document. Text goes in as text, never as markup. */

/**
 * A fresh copy of a `<template>` of index.html.
 * @param {string} id
 */
export function copyOf(id) {
  const template = document.getElementById(id);
  if (!(template instanceof HTMLTemplateElement)) throw new Error(`index.html has no template ${id}`);
  return /** @type {DocumentFragment} */ (template.content.cloneNode(true));
}

/**
 * The first element of a template's copy that belongs to one item.
 * @param {string} id
 */
export function elementOf(id) {
  return /** @type {HTMLElement} */ (copyOf(id).firstElementChild);
}

/**
 * The place that a template names with `data-slot`.
 * @param {ParentNode} root
 * @param {string} name
 */
export function slot(root, name) {
  return /** @type {HTMLElement} */ (root.querySelector(`[data-slot="${name}"]`));
}

/**
 * Fills a place with text, or hides it where there is none.
 * @param {HTMLElement} place
 * @param {string | null} text
 */
export function fill(place, text) {
  place.textContent = text;
  place.hidden = text === null;
}

const said = document.getElementById("said"); // not on every page that uses this file
let announcing = 0;

/**
 * Tells people who listen to the page what others see happening.
 * @param {string} text
 */
export function say(text) {
  hush();
  announcing = requestAnimationFrame(() => {
    // A change that a screen reader notices even where the text is the same as before.
    if (said !== null) said.textContent = text;
  });
}

/** Takes back what was said last: it may quote what is personal, and goes with it. */
export function hush() {
  cancelAnimationFrame(announcing);
  if (said !== null) said.textContent = "";
}
