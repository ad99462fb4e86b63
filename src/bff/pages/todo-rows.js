/** The rows of the to-do list: one element each, kept as long as it is of the right kind, so that focus and caret stay. */

import { elementOf, fill, slot } from "./dom.js";

/** @typedef {import("./todo-list.js").Todo} Todo */

export class TodoRows {
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #items;

  /** @param {HTMLElement} items the list element */
  constructor(items) {
    this.#items = items;
  }

  /** @param {Todo[]} todos */
  draw(todos) {
    const rows = todos.map((todo) => this.#rowOf(todo));
    for (const [key, row] of this.#rows) {
      if (rows.includes(row)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    for (const [index, row] of rows.entries()) {
      const there = this.#items.children[index] ?? null;
      if (there !== row) this.#items.insertBefore(row, there);
    }
  }

  /** @param {EventTarget | null} target */
  keyOf(target) {
    const row = target instanceof Element ? target.closest("[data-key]") : null;
    return row instanceof HTMLElement ? Number(row.dataset.key) : null;
  }

  /**
   * @param {Todo} todo
   * @param {"edit" | "remove" | "input"} what
   */
  focus({ key }, what) {
    const element = this.#rows.get(key)?.querySelector(what === "input" ? "input" : `[data-act="${what}"]`);
    if (!(element instanceof HTMLElement)) return;
    element.focus();
    if (element instanceof HTMLInputElement) element.setSelectionRange(element.value.length, element.value.length);
  }

  /** @param {Todo} todo */
  #rowOf(todo) {
    const kind = todo.phase === "editing" ? "todo-editor" : "todo-row";
    const old = this.#rows.get(todo.key);
    const row = old?.dataset.kind === kind ? old : elementOf(kind);
    if (kind === "todo-editor") drawEditor(row, todo);
    else drawRow(row, todo);
    drawRefusal(row, todo);
    if (row !== old) this.#put(row, kind, todo);
    return row;
  }

  /**
   * In place of the row that this to-do had; the focus goes along.
   * @param {HTMLElement} row
   * @param {string} kind
   * @param {Todo} todo
   */
  #put(row, kind, todo) {
    const old = this.#rows.get(todo.key);
    const hadFocus = old?.contains(document.activeElement) ?? false;
    row.dataset.kind = kind;
    row.dataset.key = String(todo.key);
    row.classList.toggle("new", old === undefined);
    old?.replaceWith(row);
    this.#rows.set(todo.key, row);
    if (hadFocus) this.focus(todo, kind === "todo-editor" ? "input" : "edit");
  }
}

/**
 * @param {HTMLElement} row
 * @param {Todo} todo
 */
function drawRow(row, { text, phase }) {
  const isSaving = phase === "saving";
  slot(row, "text").textContent = text;
  row.classList.toggle("saving", isSaving);
  for (const [act, verb] of [["edit", "Edit"], ["remove", "Remove"]]) {
    const button = /** @type {HTMLElement} */ (row.querySelector(`[data-act="${act}"]`));
    button.setAttribute("aria-label", `${verb} “${text}”`);
    button.setAttribute("aria-disabled", String(isSaving)); // not `disabled`, which would lose the focus
  }
}

/**
 * @param {HTMLElement} row
 * @param {Todo} todo
 */
function drawEditor(row, { key, stored, text, isContested, refusal }) {
  const input = /** @type {HTMLInputElement} */ (slot(row, "input"));
  input.setAttribute("aria-label", stored === "" ? "New to-do" : `Change “${stored}”`);
  input.setAttribute("aria-describedby", `refusal-${key}`);
  input.setAttribute("aria-invalid", String(refusal !== null));
  if (input.value !== text) input.value = text;
  slot(row, "save").textContent = isContested ? "Keep mine" : "Save";
  slot(row, "cancel").textContent = isContested ? "Keep theirs" : "Cancel";
}

/**
 * @param {HTMLElement} row
 * @param {Todo} todo
 */
function drawRefusal(row, { key, refusal }) {
  const place = slot(row, "refusal");
  place.id = `refusal-${key}`;
  place.hidden = refusal === null;
  slot(place, "why").textContent = refusal?.why ?? null;
  fill(slot(place, "reference"), refusal?.reference ?? null);
}
