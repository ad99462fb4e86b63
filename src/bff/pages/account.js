/** The account: the session and its ends, counting, where else one is signed in, and every claim of the ID token. */

import * as bff from "./bff.js";
import { inWords, instantOf, MEANINGS } from "./claims.js";
import { copyOf, elementOf, fill, slot } from "./dom.js";
import { OwnSessions } from "./own-sessions.js";
import { duration, moment } from "./times.js";

/**
 * @param {HTMLElement} main
 * @param {import("./bff.js").SignedIn} person
 */
export function account(main, person) {
  main.replaceChildren(copyOf("view-account"));
  const elsewhere = new OwnSessions(main);
  void elsewhere.load();
  let shown = person;
  const tick = () => drawCountdown(main, shown.session);
  /** @param {import("./bff.js").SignedIn} now */
  const refresh = (now) => {
    shown = now;
    drawSession(main, now.session);
    drawClaims(main, now.claims);
    tick();
  };
  refresh(person);
  const clock = setInterval(tick, 1000);
  bff.user({ fresh: true }).catch(() => undefined); // the ends move with every call; whoever listens hears the answer
  const leave = () => {
    clearInterval(clock);
    elsewhere.leave();
  };
  return { refresh, leave };
}

/**
 * @param {HTMLElement} main
 * @param {import("./bff.js").SignedIn["session"]} session
 */
function drawSession(main, session) {
  slot(main, "began").textContent = moment(session.began_at);
  fill(slot(main, "proved"), session.auth_time === null ? null : `you proved who you are at ${moment(session.auth_time)}`);
  slot(main, "idle-at").textContent = `at ${moment(session.idle_expires_at)}; whatever you do here moves it`;
  slot(main, "absolute-at").textContent = `at ${moment(session.expires_at)}`;
  slot(main, "acr-row").hidden = session.acr === null;
  slot(main, "acr").textContent = session.acr;
  slot(main, "tag").textContent = session.tag;
}

/**
 * @param {HTMLElement} main
 * @param {import("./bff.js").SignedIn["session"]} session
 */
function drawCountdown(main, session) {
  const now = bff.serverNow() / 1000;
  slot(main, "idle").textContent = duration(Math.min(session.idle_expires_at, session.expires_at) - now);
  slot(main, "absolute").textContent = duration(session.expires_at - now);
}

/**
 * @param {HTMLElement} main
 * @param {Readonly<Record<string, unknown>>} claims
 */
function drawClaims(main, claims) {
  const rows = Object.entries(claims).map(([name, value]) => {
    const row = elementOf("claim-row");
    const instant = instantOf(name, value);
    const meaning = MEANINGS[name] ?? null;
    slot(row, "name").textContent = name;
    slot(row, "value").textContent = inWords(value);
    fill(slot(row, "meaning"), instant === null ? meaning : `${moment(instant)} · ${meaning}`);
    return row;
  });
  slot(main, "claims").replaceChildren(...rows);
}
