/** The API's to-do list over HTTP: pages that are followed to the end, and changes that are meant for one version. */

const LIST = "/api/todolist";

/**
 * @typedef {{id: number, description: string}} Item
 * @typedef {Item & {etag: string | null}} Held an item, with the entity tag of the version that was read
 */

export class TodoCalls {
  #call;

  /** @param {typeof import("./bff.js").fetch} call */
  constructor(call) {
    this.#call = call;
  }

  /**
   * Each page of the list in turn, the oldest items first. Throws a `Problem`, as all of these do.
   * @param {RequestInit} [init]
   * @returns {AsyncGenerator<Item[]>}
   */
  async *pages(init) {
    for (let path = /** @type {string | null} */ (LIST); path !== null; ) {
      const response = await this.#call(path, init);
      yield await response.json();
      path = nextIn(response);
    }
  }

  /** @param {number} id */
  async find(id) {
    return held(await this.#call(`${LIST}/${id}`));
  }

  /** @param {string} description */
  async add(description) {
    return held(await this.#call(LIST, written("POST", description)));
  }

  /**
   * @param {number} id
   * @param {string} description
   * @param {string | null} etag the only version that may be changed
   */
  async change(id, description, etag) {
    return held(await this.#call(`${LIST}/${id}`, written("PUT", description, etag)));
  }

  /**
   * @param {number} id
   * @param {string | null} etag the only version that may be removed
   */
  async remove(id, etag) {
    await this.#call(`${LIST}/${id}`, { method: "DELETE", headers: meantFor(etag) });
  }
}

/**
 * @param {string} method
 * @param {string} description
 * @param {string | null} [etag]
 */
function written(method, description, etag = null) {
  const headers = { "Content-Type": "application/json", ...meantFor(etag) };
  return { method, headers, body: JSON.stringify({ description }) };
}

/**
 * @param {string | null} etag
 * @returns {Record<string, string>}
 */
function meantFor(etag) {
  return etag === null ? {} : { "If-Match": etag };
}

/**
 * @param {Response} response
 * @returns {Promise<Held>}
 */
async function held(response) {
  return { ...(await response.json()), etag: response.headers.get("ETag") };
}

/** @param {Response} response */
function nextIn(response) {
  return /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null;
}
