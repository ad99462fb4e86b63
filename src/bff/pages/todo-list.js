/**
 * The to-do list as the person wants it, and its way to what the API holds. Every change shows at once and is taken
 * back, with the reason, where the API refuses it. What was typed is never dropped, and what somebody else wrote is
 * never replaced before the person has seen it. Knows no document.
 */

import { Problem } from "./bff.js";
import { TodoCalls } from "./todo-calls.js";
import { asProblem, explain, referenceOf } from "./words.js";

/**
 * @typedef {import("./todo-calls.js").Held} Held
 * @typedef {{why: string, reference: string | null}} Refusal
 *
 * @typedef {object} Todo
 * @property {number} key tells rows apart while the page lives
 * @property {number | null} id the API's; null until it has one
 * @property {string} stored the description that the API holds, as far as the person was shown it
 * @property {string | null} etag of the version with that description; null where only a list has told of it
 * @property {string} text the description that the person wants
 * @property {"saved" | "editing" | "saving" | "removing"} phase
 * @property {boolean} isContested `stored` was written elsewhere, after the person had begun to write `text`
 * @property {Refusal | null} refusal of the last change
 */

/** What the person was shown is not what the API holds. */
class ChangedElsewhere extends Error {
  /** @param {Held} held */
  constructor(held) {
    super("changed elsewhere");
    this.held = held;
  }
}

export class TodoList {
  /** @type {Todo[]} the newest first */
  todos = [];
  #calls;
  #changed;
  #keys = 0;

  /**
   * @param {typeof import("./bff.js").fetch} call
   * @param {(said?: string) => void} changed after every change, with what to tell about it
   */
  constructor(call, changed) {
    this.#calls = new TodoCalls(call);
    this.#changed = changed;
  }

  /**
   * Takes over what the API holds, page by page; what is being typed or saved stays as it is. Throws a `Problem`.
   * @param {RequestInit} [init]
   */
  async load(init) {
    /** @type {Set<number | null>} */
    const seen = new Set();
    for await (const page of this.#calls.pages(init)) {
      for (const { id, description } of page) {
        seen.add(id);
        this.#take(id, description);
      }
      this.todos.sort((a, b) => (b.id ?? Infinity) - (a.id ?? Infinity) || b.key - a.key);
      this.#changed();
    }
    this.todos = this.todos.filter(({ id, phase }) => seen.has(id) || phase !== "saved");
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
    Object.assign(todo, { phase: "saved", text: todo.stored, isContested: false, refusal: null });
    this.#changed();
  }

  /** @param {Todo} todo */
  async save(todo) {
    todo.text = todo.text.trim();
    if (todo.text === "") return this.#refuse(todo, "A to-do needs some text.");
    if (todo.text === todo.stored && todo.id !== null) return this.cancel(todo);
    Object.assign(todo, { phase: "saving", isContested: false, refusal: null });
    this.#changed();
    try {
      this.#hold(todo, await this.#send(todo));
    } catch (error) {
      this.#refuseSaving(todo, error);
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
      await this.#asShown(todo, (id, etag) => this.#calls.remove(id, etag));
    } catch (error) {
      if (!this.#refuseRemoving(todo, error)) return false;
    }
    this.#forget(todo);
    this.#changed(`Removed: ${todo.stored}`);
    return true;
  }

  /**
   * Takes up what was typed before the page was left. What the API has meanwhile is not offered a second time.
   * @param {import("./drafts.js").Draft[]} drafts
   */
  resume(drafts) {
    const refusal = { why: "Not saved yet.", reference: null };
    for (const { id, text, stored } of drafts) {
      const held = this.todos.find((todo) => (id === null ? todo.stored === text : todo.id === id));
      if (held === undefined) {
        this.todos.unshift(this.#todo({ text, phase: "editing", refusal }));
      } else if (held.stored !== text) {
        Object.assign(held, { text, phase: "editing", refusal });
        if (held.stored !== stored) this.#contest(held);
      }
    }
    this.#changed();
  }

  /** What the API does not have, so that it can be resumed. */
  unsaved() {
    return this.todos
      .filter(({ phase, text, stored }) => (phase === "editing" || phase === "saving") && text !== stored)
      .map(({ id, text, stored }) => ({ id, text, stored }));
  }

  /**
   * One item of a page. What is on its way keeps what it is compared with: its own answer will tell.
   * @param {number} id
   * @param {string} description
   */
  #take(id, description) {
    const todo = this.todos.find((one) => one.id === id);
    if (todo === undefined) {
      this.todos.push(this.#todo({ id, stored: description }));
    } else if (todo.stored !== description && (todo.phase === "saved" || todo.phase === "editing")) {
      const isTyped = todo.phase === "editing" && todo.text !== todo.stored;
      Object.assign(todo, { stored: description, etag: null });
      if (!isTyped) todo.text = description;
      else if (todo.text !== description) this.#contest(todo);
    }
  }

  /** @param {Todo} todo */
  #send(todo) {
    const { id, text } = todo;
    if (id === null) return this.#calls.add(text);
    return this.#asShown(todo, (known, etag) => this.#calls.change(known, text, etag));
  }

  /**
   * Changes the version that the person was shown, and no other. Throws ChangedElsewhere, or a `Problem`.
   * @template T
   * @param {Todo} todo
   * @param {(id: number, etag: string | null) => Promise<T>} change
   */
  async #asShown(todo, change) {
    const id = /** @type {number} */ (todo.id);
    for (let again = true; ; again = false) {
      if (todo.etag === null) await this.#look(todo);
      try {
        return await change(id, todo.etag);
      } catch (error) {
        if (!again || !(error instanceof Problem) || error.slug !== "precondition-failed") throw error;
        todo.etag = null; // another version: perhaps one with the same words, of which nobody needs to be told
      }
    }
  }

  /** @param {Todo} todo */
  async #look(todo) {
    const held = await this.#calls.find(/** @type {number} */ (todo.id));
    if (held.description !== todo.stored) throw new ChangedElsewhere(held);
    todo.etag = held.etag;
  }

  /**
   * @param {Todo} todo
   * @param {Held} held
   */
  #hold(todo, { id, description, etag }) {
    this.todos = this.todos.filter((other) => other === todo || other.id !== id); // a load may have brought it already
    Object.assign(todo, { id, stored: description, etag, text: description, phase: "saved" });
    this.#changed(`Saved: ${description}`);
  }

  /**
   * @param {Todo} todo
   * @param {unknown} error
   */
  #refuseSaving(todo, error) {
    if (error instanceof ChangedElsewhere) {
      if (error.held.description === todo.text) return this.#hold(todo, error.held); // both wrote the same
      Object.assign(todo, { phase: "editing", stored: error.held.description, etag: error.held.etag });
      this.#contest(todo);
      return this.#changed(todo.refusal?.why);
    }
    const problem = asProblem(error);
    todo.phase = "editing";
    if (todo.id === null || !isGone(problem)) return this.#refuse(todo, `Not saved. ${explain(problem)}`, referenceOf(problem));
    Object.assign(todo, { id: null, etag: null });
    this.#refuse(todo, "Not saved. It was removed elsewhere; save to add it again.");
  }

  /**
   * @param {Todo} todo
   * @param {unknown} error
   * @returns {boolean} whether it is gone all the same
   */
  #refuseRemoving(todo, error) {
    if (error instanceof ChangedElsewhere) {
      const { description, etag } = error.held;
      Object.assign(todo, { phase: "saved", stored: description, text: description, etag });
      this.#refuse(todo, "Not removed. It was changed elsewhere, and reads like this now.");
      return false;
    }
    const problem = asProblem(error);
    if (isGone(problem)) return true;
    todo.phase = "saved";
    this.#refuse(todo, `Not removed. ${explain(problem)}`, referenceOf(problem));
    return false;
  }

  /**
   * The person decides between what they typed and what was written elsewhere.
   * @param {Todo} todo
   */
  #contest(todo) {
    todo.isContested = true;
    todo.refusal = { why: `Not saved. Meanwhile it was changed elsewhere to “${todo.stored}”.`, reference: null };
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
    return { key: this.#keys, id, stored, etag: null, text, phase, isContested: false, refusal };
  }
}

/** @param {import("./bff.js").Problem} problem */
function isGone(problem) {
  return problem.type === "urn:resource-api:problem:unknown-todo";
}
