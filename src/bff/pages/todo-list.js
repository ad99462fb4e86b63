/**
 * The to-do list as the person wants it, and its way to what the API holds. Every change shows at once and is taken
 * back, with the reason, where the API refuses it. What was typed is never dropped. Knows no document.
 */

import { asProblem, explain, referenceOf } from "./words.js";

const LIST = "/api/todolist";

/**
 * @typedef {{why: string, reference: string | null}} Refusal
 *
 * @typedef {object} Todo
 * @property {number} key tells rows apart while the page lives
 * @property {number | null} id the API's; null until it has one
 * @property {string} stored the description that the API holds
 * @property {string} text the description that the person wants
 * @property {"saved" | "editing" | "saving" | "removing"} phase
 * @property {Refusal | null} refusal of the last change
 */

export class TodoList {
  /** @type {Todo[]} the newest first */
  todos = [];
  #call;
  #changed;
  #keys = 0;

  /**
   * @param {typeof import("./bff.js").fetch} call
   * @param {(said?: string) => void} changed after every change, with what to tell about it
   */
  constructor(call, changed) {
    this.#call = call;
    this.#changed = changed;
  }

  /**
   * Takes over what the API holds; what is being typed or saved stays as it is. Throws a `Problem`.
   * @param {RequestInit} [init]
   */
  async load(init) {
    const response = await this.#call(LIST, init);
    /** @type {{id: number, description: string}[]} */
    const held = await response.json();
    const before = new Map(this.todos.map((todo) => [todo.id, todo]));
    const fresh = held.map(({ id, description }) => before.get(id) ?? this.#todo({ id, stored: description }));
    for (const [index, todo] of fresh.entries()) {
      todo.stored = held[index].description;
      if (todo.phase === "saved") todo.text = todo.stored;
    }
    fresh.sort((a, b) => (b.id ?? 0) - (a.id ?? 0));
    const ids = new Set(held.map(({ id }) => id));
    const ours = this.todos.filter((todo) => !ids.has(todo.id ?? -1) && todo.phase !== "saved");
    this.todos = [...ours, ...fresh];
    this.#changed();
  }

  /** @param {string} text */
  async add(text) {
    const todo = this.#todo({ text, phase: "saving" });
    this.todos.unshift(todo);
    await this.save(todo);
  }

  /** @param {Todo} todo */
  edit(todo) {
    todo.phase = "editing";
    todo.refusal = null;
    this.#changed();
  }

  /**
   * Goes back to what the API holds; one that it never had is gone.
   * @param {Todo} todo
   */
  cancel(todo) {
    if (todo.id === null) this.#forget(todo);
    Object.assign(todo, { phase: "saved", text: todo.stored, refusal: null });
    this.#changed();
  }

  /** @param {Todo} todo */
  async save(todo) {
    todo.text = todo.text.trim();
    if (todo.text === "") return this.#refuse(todo, "A to-do needs some text.");
    if (todo.text === todo.stored && todo.id !== null) return this.cancel(todo);
    todo.phase = "saving";
    todo.refusal = null;
    this.#changed();
    try {
      const { id, description } = await this.#send(todo);
      this.todos = this.todos.filter((other) => other === todo || other.id !== id); // a load may have brought it already
      Object.assign(todo, { id, stored: description, text: description, phase: "saved" });
      this.#changed(`Saved: ${description}`);
    } catch (error) {
      this.#refuseSaving(todo, asProblem(error));
    }
  }

  /**
   * @param {Todo} todo
   * @returns {Promise<boolean>} whether it is gone
   */
  async remove(todo) {
    todo.phase = "removing";
    todo.refusal = null;
    this.#changed();
    try {
      await this.#call(`${LIST}/${todo.id}`, { method: "DELETE" });
    } catch (error) {
      const problem = asProblem(error);
      if (!isGone(problem)) {
        todo.phase = "saved";
        this.#refuse(todo, `Not removed. ${explain(problem)}`, referenceOf(problem));
        return false;
      }
    }
    this.#forget(todo);
    this.#changed(`Removed: ${todo.stored}`);
    return true;
  }

  /**
   * Takes up what was typed before the page was left. What the API has meanwhile is not offered a second time.
   * @param {{id: number | null, text: string}[]} drafts
   */
  resume(drafts) {
    const refusal = { why: "Not saved yet.", reference: null };
    for (const { id, text } of drafts) {
      const held = this.todos.find((todo) => (id === null ? todo.stored === text : todo.id === id));
      if (held === undefined) {
        this.todos.unshift(this.#todo({ text, phase: "editing", refusal }));
      } else if (held.stored !== text) {
        Object.assign(held, { text, phase: "editing", refusal });
      }
    }
    this.#changed();
  }

  /** What the API does not have, so that it can be resumed. */
  unsaved() {
    return this.todos
      .filter(({ phase, text, stored }) => (phase === "editing" || phase === "saving") && text !== stored)
      .map(({ id, text }) => ({ id, text }));
  }

  /**
   * @param {Todo} todo
   * @returns {Promise<{id: number, description: string}>}
   */
  async #send({ id, text }) {
    const response = await this.#call(id === null ? LIST : `${LIST}/${id}`, {
      method: id === null ? "POST" : "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ description: text }),
    });
    return response.json();
  }

  /**
   * @param {Todo} todo
   * @param {import("./bff.js").Problem} problem
   */
  #refuseSaving(todo, problem) {
    todo.phase = "editing";
    if (todo.id === null || !isGone(problem)) return this.#refuse(todo, `Not saved. ${explain(problem)}`, referenceOf(problem));
    todo.id = null;
    this.#refuse(todo, "Not saved. It was removed elsewhere; save to add it again.");
  }

  /**
   * @param {Todo} todo
   * @param {string} why
   * @param {string | null} [reference]
   */
  #refuse(todo, why, reference = null) {
    todo.refusal = { why, reference };
    this.#changed(why);
  }

  /** @param {Todo} todo */
  #forget(todo) {
    this.todos = this.todos.filter((other) => other !== todo);
  }

  /**
   * @param {Partial<Todo>} members
   * @returns {Todo}
   */
  #todo({ id = null, stored = "", text = stored, phase = "saved", refusal = null }) {
    this.#keys += 1;
    return { key: this.#keys, id, stored, text, phase, refusal };
  }
}

/** @param {import("./bff.js").Problem} problem */
function isGone(problem) {
  return problem.type === "urn:resource-api:problem:unknown-todo";
}
