/** The to-do list on the page: one form to add, rows that are edited where they stand, refusals shown where they happen. */

import * as bff from "./bff.js";
import { copyOf, fill, say, slot } from "./dom.js";
import * as drafts from "./drafts.js";
import { TodoList } from "./todo-list.js";
import { TodoRows } from "./todo-rows.js";
import { asProblem, explain, referenceOf } from "./words.js";

/** @typedef {import("./todo-list.js").Todo} Todo */

const STATES = ["loading", "items", "empty", "failed"];
const UNASKED = { headers: { "X-BFF-Slide": "0" } }; // no act of the person, so it must not keep the session alive

/**
 * @param {HTMLElement} main
 * @param {import("./bff.js").SignedIn} person
 */
export function todos(main, person) {
  main.replaceChildren(copyOf("view-todos"));
  const view = new TodosView(main, person.sub);
  void view.load();
  return { refresh: () => void view.load(UNASKED), leave: () => view.leave() };
}

class TodosView {
  #list = new TodoList(bff.fetch, (said) => this.#changed(said));
  #leaving = new AbortController();
  #isLoaded = false;
  #removed = "";
  #main;
  #subject;
  #rows;
  #input;

  /**
   * @param {HTMLElement} main
   * @param {string} subject whose list it is
   */
  constructor(main, subject) {
    this.#main = main;
    this.#subject = subject;
    this.#rows = new TodoRows(slot(main, "items"));
    this.#input = /** @type {HTMLInputElement} */ (slot(main, "new"));
    const { signal } = this.#leaving;
    main.addEventListener("submit", (event) => this.#submitted(event), { signal });
    main.addEventListener("click", (event) => this.#clicked(event), { signal });
    main.addEventListener("input", (event) => this.#typed(event), { signal });
    main.addEventListener("keydown", (event) => this.#pressed(event), { signal });
  }

  /** @param {RequestInit} [init] */
  async load(init) {
    const isFirst = !this.#isLoaded;
    if (isFirst) this.#show("loading");
    try {
      await this.#list.load({ ...init, signal: this.#leaving.signal });
    } catch (error) {
      if (isFirst && !this.#leaving.signal.aborted) this.#fail(asProblem(error));
      return; // a list that is already shown stays; the person's own calls will tell
    }
    if (isFirst) this.#resume();
  }

  leave() {
    this.#keepDrafts();
    this.#leaving.abort();
  }

  #resume() {
    this.#isLoaded = true;
    const kept = drafts.find(this.#subject);
    this.#input.value ||= kept?.adding ?? "";
    this.#list.resume(kept?.editing ?? []);
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    const todo = this.#todoOf(event.target);
    if (todo !== undefined) void this.#list.save(todo);
    else this.#add();
  }

  /** @param {MouseEvent} event */
  #clicked({ target }) {
    if (!(target instanceof Element)) return;
    const act = target.closest("[data-act]")?.getAttribute("data-act");
    const todo = this.#todoOf(target);
    if (act === "reload") void this.load();
    else if (act === "undo") this.#undo();
    else if (act === "cancel" && todo?.phase === "editing") this.#cancel(todo);
    else if (act === "remove" && todo?.phase === "saved") this.#remove(todo);
    else if ((act === "edit" || isClickOnText(target)) && todo?.phase === "saved") this.#edit(todo);
  }

  /** @param {Event} event */
  #typed({ target }) {
    const todo = this.#todoOf(target);
    if (todo !== undefined && target instanceof HTMLInputElement) todo.text = target.value;
    this.#keepDrafts();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const todo = this.#todoOf(event.target);
    if (event.key !== "Escape" || event.isComposing || todo?.phase !== "editing") return;
    event.preventDefault();
    this.#cancel(todo);
  }

  #add() {
    const text = this.#input.value.trim();
    this.#input.focus();
    if (text === "") return;
    this.#input.value = "";
    this.#offerUndo("");
    void this.#list.add(text);
  }

  /** @param {Todo} todo */
  #edit(todo) {
    this.#list.edit(todo);
    this.#rows.focus(todo, "input");
  }

  /** @param {Todo} todo */
  #cancel(todo) {
    const wasNeverHeld = todo.id === null;
    this.#list.cancel(todo);
    if (wasNeverHeld) this.#input.focus();
    else this.#rows.focus(todo, "edit");
  }

  /** @param {Todo} todo */
  #remove(todo) {
    const visible = this.#visible;
    const at = visible.indexOf(todo);
    const next = visible[at + 1] ?? visible[at - 1];
    this.#offerUndo("");
    void this.#list.remove(todo).then((isRemoved) => isRemoved && this.#offerUndo(todo.stored));
    if (next === undefined) this.#input.focus();
    else this.#rows.focus(next, next.phase === "editing" ? "input" : "remove");
  }

  #undo() {
    const text = this.#removed;
    this.#offerUndo("");
    this.#input.focus();
    void this.#list.add(text);
  }

  /** @param {string} text of what was removed last; empty takes the offer back */
  #offerUndo(text) {
    this.#removed = text;
    slot(this.#main, "removed").textContent = `Removed “${text}”.`;
    slot(this.#main, "undo").hidden = text === "";
  }

  /** @param {string} [said] */
  #changed(said) {
    this.#keepDrafts();
    if (this.#leaving.signal.aborted) return;
    const visible = this.#visible;
    this.#rows.draw(visible);
    this.#show(visible.length === 0 ? "empty" : "items");
    if (said !== undefined) say(said);
  }

  #keepDrafts() {
    if (!this.#isLoaded) return; // what was kept before has not been taken up yet
    drafts.keep(this.#subject, { adding: this.#input.value, editing: this.#list.unsaved() });
  }

  /** @param {import("./bff.js").Problem} problem */
  #fail(problem) {
    const place = slot(this.#main, "failed");
    slot(place, "why").textContent = explain(problem);
    fill(slot(place, "reference"), referenceOf(problem));
    this.#show("failed");
  }

  /** @param {"loading" | "items" | "empty" | "failed"} state */
  #show(state) {
    for (const name of STATES) slot(this.#main, name).hidden = name !== state;
  }

  /** @param {EventTarget | null} target */
  #todoOf(target) {
    const key = this.#rows.keyOf(target);
    return this.#list.todos.find((todo) => todo.key === key);
  }

  get #visible() {
    return this.#list.todos.filter(({ phase }) => phase !== "removing");
  }
}

/** @param {Element} target a click on the text, unless it was to select some */
function isClickOnText(target) {
  return target.closest('[data-slot="text"]') !== null && (getSelection()?.isCollapsed ?? true);
}
