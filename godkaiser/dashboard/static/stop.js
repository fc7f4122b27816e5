"use strict";
(() => {
  // src/stop/stop.ts
  var PLACE = "/api/v1/actuators/emergency_stop";
  var ANSWER_MS = 3e3;
  var AGAIN_MS = 700;
  var TRY_FOR_MS = 6e4;
  var LOOK_MS = 1e4;
  var LOOK_CLOSELY_MS = 700;
  var SLIP_PX = 12;
  var texts = {
    en: {
      button: "STOP",
      label: "Emergency stop: everything off",
      ready: "Ready: stops everything",
      waiting: "Waiting for the page …",
      sent: "Sent …",
      again: (tries) => `No answer. Trying again (${tries}). Press the hard-wired stop!`,
      failed: "NOT SENT. Press the hard-wired stop!",
      refused: "Refused: log in again, or press the hard-wired stop.",
      away: "Gateway not reachable: use the hard-wired stop.",
      wire: "On the wire.",
      confirmed: (some, all) => `Confirmed ${some} of ${all}`,
      stopped: (all) => `Stopped: confirmed ${all} of ${all}`,
      nobody: "On the wire. No device to confirm.",
      clearing: (some, all) => `Being cleared: ${some} of ${all}`,
      part: "Stopped in part: see the overview"
    },
    de: {
      button: "NOT-HALT",
      label: "Not-Halt: alles aus",
      ready: "Bereit: hält alles an",
      waiting: "Warte auf die Seite …",
      sent: "Gesendet …",
      again: (tries) => `Keine Antwort. Neuer Versuch (${tries}). Fest verdrahteten Not-Halt drücken!`,
      failed: "NICHT GESENDET. Fest verdrahteten Not-Halt drücken!",
      refused: "Abgelehnt: neu anmelden oder fest verdrahteten Not-Halt drücken.",
      away: "Gateway nicht erreichbar: fest verdrahteten Not-Halt benutzen.",
      wire: "Auf der Leitung.",
      confirmed: (some, all) => `Bestätigt ${some} von ${all}`,
      stopped: (all) => `Angehalten: bestätigt ${all} von ${all}`,
      nobody: "Auf der Leitung. Kein Gerät, das bestätigt.",
      clearing: (some, all) => `Wird aufgehoben: ${some} von ${all}`,
      part: "Teilweise angehalten: siehe Übersicht"
    }
  };
  var button = document.getElementById("press");
  var line = document.getElementById("said");
  var words = texts.en;
  var token = null;
  var isPressed = false;
  var lookTimer;
  var shown = { text: () => words.waiting, tone: "calm" };
  var down = null;
  addEventListener("message", (event) => {
    if (event.source !== parent) return;
    if (event.data?.kind === "look" && token !== null && !isPressed) void look();
    if (event.data?.kind !== "know") return;
    const given = event.data;
    words = texts[given.language] ?? texts.en;
    document.documentElement.lang = given.language;
    document.documentElement.dataset.colours = given.isDark ? "dark" : "light";
    const isNew = token !== given.token;
    token = given.token;
    button.disabled = token === null;
    button.textContent = words.button;
    button.setAttribute("aria-label", words.label);
    draw();
    if (token !== null && isNew && !isPressed) void look();
  });
  button.addEventListener("pointerdown", (event) => {
    down = { x: event.clientX, y: event.clientY };
  });
  button.addEventListener("click", (event) => {
    const moved = down === null || event.detail === 0 ? 0 : Math.hypot(event.clientX - down.x, event.clientY - down.y);
    down = null;
    if (moved <= SLIP_PX) void press();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && token !== null && !isPressed) void look();
  });
  parent.postMessage({ kind: "ready" }, "*");
  async function press() {
    if (isPressed) return;
    isPressed = true;
    clearTimeout(lookTimer);
    say(() => words.sent, "busy");
    const until = Date.now() + TRY_FOR_MS;
    for (let tries = 1; ; tries += 1) {
      const outcome = await stop();
      if (outcome === "taken") break;
      if (outcome === "refused") {
        say(() => words.refused, "bad");
        break;
      }
      if (Date.now() > until) {
        say(() => words.failed, "bad");
        break;
      }
      say(() => words.again(tries), "bad");
      await new Promise((resume) => setTimeout(resume, AGAIN_MS));
    }
    isPressed = false;
    lookAgain(LOOK_CLOSELY_MS);
  }
  async function stop() {
    try {
      const response = await ask("POST", JSON.stringify({ reason: "dashboard" }));
      if (response.ok) {
        tell(await response.json());
        return "taken";
      }
      return response.status < 500 && response.status !== 429 ? "refused" : "no answer";
    } catch {
      return "no answer";
    }
  }
  async function look() {
    clearTimeout(lookTimer);
    let soon = false;
    try {
      const response = await ask("GET");
      if (isPressed) return;
      if (response.ok) soon = tell(await response.json());
      else if (response.status === 401) say(() => words.refused, "bad");
    } catch {
      if (!isPressed) say(() => words.away, "bad");
      soon = true;
    }
    if (!isPressed) lookAgain(soon ? LOOK_CLOSELY_MS : LOOK_MS);
  }
  function lookAgain(afterMs) {
    clearTimeout(lookTimer);
    lookTimer = setTimeout(() => {
      if (document.visibilityState === "visible") void look();
      else lookAgain(LOOK_MS);
    }, afterMs);
  }
  function ask(method, body) {
    return fetch(PLACE, {
      method,
      body,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      signal: AbortSignal.timeout(ANSWER_MS),
      cache: "no-store",
      keepalive: true
    });
  }
  function tell(answer) {
    const stop2 = answer.stops.find((one) => one.scope === "global");
    if (!stop2) {
      const inPart = answer.stops.length > 0;
      say(() => inPart ? words.part : words.ready, inPart ? "warn" : "calm");
      return inPart;
    }
    if (stop2.state === "active") {
      const some = stop2.confirmed.length;
      const all = some + stop2.unconfirmed.length;
      if (all === 0) say(() => words.nobody, "warn");
      else if (some === all) say(() => words.stopped(all), "done");
      else say(() => `${words.wire} ${words.confirmed(some, all)}`, "warn");
      return some < all;
    }
    say(() => words.clearing(stop2.confirmed.length, stop2.clearing.length), "warn");
    return true;
  }
  function say(text, tone) {
    shown = { text, tone };
    draw();
  }
  function draw() {
    const text = shown.text();
    if (line.textContent !== text) line.textContent = text;
    document.body.dataset.tone = shown.tone;
  }
})();
