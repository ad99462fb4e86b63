/**
 * What was typed and not yet saved, kept in this tab while the person signs in again. It belongs to a subject: nobody
 * else is shown it, and signing out drops it.
 *
 * @typedef {{id: number | null, text: string, stored: string}} Draft `stored` is what stood there before
 * @typedef {{adding: string, editing: Draft[]}} Drafts
 */

const PLACE = "todos.drafts";

/**
 * @param {string} subject
 * @param {Drafts} drafts
 */
export function keep(subject, drafts) {
  if (drafts.adding === "" && drafts.editing.length === 0) return drop(subject);
  attempt(() => sessionStorage.setItem(PLACE, JSON.stringify({ subject, drafts })));
}

/**
 * @param {string} subject
 * @returns {Drafts | null}
 */
export function find(subject) {
  const kept = attempt(() => JSON.parse(sessionStorage.getItem(PLACE) ?? "null"));
  return kept?.subject === subject ? kept.drafts : null;
}

/** @param {string} [subject] only this one's, or everybody's */
export function drop(subject) {
  if (subject === undefined || find(subject) !== null) attempt(() => sessionStorage.removeItem(PLACE));
}

/**
 * Storage may be full or forbidden; then there are no drafts, and all else works.
 * @template T
 * @param {() => T} action
 */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
