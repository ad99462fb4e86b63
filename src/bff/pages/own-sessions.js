/** Where somebody is signed in: a row for each session, this one first; any other can be ended from here. */

import * as bff from "./bff.js";
import { elementOf, fill, say, slot } from "./dom.js";
import { minute } from "./times.js";
import { asProblem, explain } from "./words.js";

/**
 * @typedef {object} OwnSession instants are in seconds since the epoch
 * @property {string} tag
 * @property {string} device
 * @property {number} began_at
 * @property {number} seen_at
 * @property {number} expires_at
 * @property {boolean} current
 */

const PATH = "/bff/sessions";
const UNASKED = { headers: { "X-BFF-Slide": "0" } }; // no act of the person, so it must not keep the session alive

/** The list, in the section that `view-account` has for it; it stays hidden where the server keeps none. */
export class OwnSessions {
  #section;
  #rows;
  #leaving = new AbortController();

  /** @param {ParentNode} main */
  constructor(main) {
    this.#section = slot(main, "own-sessions");
    this.#rows = slot(main, "devices");
    this.#section.addEventListener("click", (event) => this.#clicked(event), { signal: this.#leaving.signal });
  }

  async load() {
    try {
      const answer = await bff.fetch(PATH, { ...UNASKED, signal: this.#leaving.signal });
      this.#draw((await answer.json()).sessions);
    } catch (error) {
      if (!this.#leaving.signal.aborted) this.#refuse(asProblem(error));
    }
  }

  leave() {
    this.#leaving.abort();
  }

  /** @param {OwnSession[]} sessions */
  #draw(sessions) {
    this.#rows.replaceChildren(...sessions.map(rowOf));
    slot(this.#section, "alone").hidden = sessions.some((one) => !one.current);
    fill(slot(this.#section, "why"), null);
    this.#section.hidden = false;
  }

  /** @param {bff.Problem} problem */
  #refuse(problem) {
    if (problem.slug === "unknown-route") return; // this server keeps no list
    fill(slot(this.#section, "why"), explain(problem));
    this.#section.hidden = false;
  }

  /** @param {Event} event */
  #clicked(event) {
    const button = event.target instanceof Element ? event.target.closest("button[data-tag]") : null;
    if (button instanceof HTMLButtonElement && button.ariaBusy !== "true") void this.#end(button);
  }

  /** @param {HTMLButtonElement} button */
  async #end(button) {
    const { tag = "", device = "" } = button.dataset;
    button.ariaBusy = "true";
    fill(slot(this.#section, "why"), null);
    try {
      await bff.fetch(`${PATH}/${encodeURIComponent(tag)}`, { method: "DELETE" });
      say(`Signed out: ${device}.`);
    } catch (error) {
      const problem = asProblem(error);
      if (problem.slug !== "unknown-session") return this.#refuse(problem);
      say(explain(problem));
    } finally {
      button.ariaBusy = null;
    }
    this.#section.querySelector("h2")?.focus();
    await this.load();
  }
}

/** @param {OwnSession} session */
function rowOf({ tag, device, began_at, seen_at, current }) {
  const row = elementOf("device-row");
  slot(row, "device").textContent = device;
  const [since, seen] = [minute(began_at), minute(seen_at)];
  slot(row, "when").textContent = current || since === seen ? `since ${since}` : `since ${since}, last seen ${seen}`;
  slot(row, "here").hidden = !current;
  const button = row.querySelector("button");
  if (button !== null) {
    button.hidden = current; // this one has a button of its own, which also leaves the sign-in service
    button.ariaLabel = `Sign out: ${device}, signed in since ${since}`;
    Object.assign(button.dataset, { tag, device });
  }
  return row;
}
