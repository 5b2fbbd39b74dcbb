// What a script adds to pages that work without it: an answer is sent without a page load and sent again
// when the line drops, an ordering moves by buttons, the clock runs, and the focus follows the item.
(() => {
  "use strict";

  const content = document.getElementById("content");
  const status = document.getElementById("status");
  const spoken = document.getElementById("spoken");
  const PAUSES = [800, 1500, 3000, 5000, 8000, 12000, 20000, 30000];
  let busy = false;

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const say = (words, kind) => {
    if (!status) return;
    status.textContent = words;
    status.className = "status" + (kind ? " is-" + kind : "");
  };
  const speak = (words) => {
    if (spoken) spoken.textContent = words;
  };

  // --- ordering: numbered selects become lines that move ---------------------------------------------

  const arrow = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  };

  const order = (list) => {
    const lines = () => [...list.querySelectorAll("[data-line]")];
    const settle = () => {
      const all = lines();
      all.forEach((line, n) => {
        line.querySelector("select").value = String(n + 1);
        const [up, down] = line.querySelectorAll(".order-moves button");
        up.setAttribute("aria-disabled", String(n === 0));
        down.setAttribute("aria-disabled", String(n === all.length - 1));
      });
    };
    const move = (line, by, button) => {
      const all = lines();
      const to = all.indexOf(line) + by;
      if (to < 0 || to >= all.length) return;
      if (by < 0) all[to].before(line);
      else all[to].after(line);
      settle();
      button.focus();
      const place = list.dataset.moved.replace("{n}", to + 1).replace("{total}", all.length);
      speak(line.querySelector(".order-text").textContent.trim() + ". " + place);
    };
    for (const line of lines()) {
      const moves = document.createElement("span");
      moves.className = "order-moves";
      const text = line.querySelector(".order-text");
      for (const [by, words, path] of [[-1, list.dataset.up, "M6 14l6-6 6 6"], [1, list.dataset.down, "M6 10l6 6 6-6"]]) {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-label", words + ": " + text.textContent.trim());
        button.append(arrow(path));
        button.addEventListener("click", () => move(line, by, button));
        moves.append(button);
      }
      line.querySelector(".order-place").before(moves);
    }
    list.classList.add("is-sorted");
    for (const hint of list.parentElement.querySelectorAll(".no-script")) hint.hidden = true;
    settle();
  };

  // --- the clock: the server's seconds, counted down here; only the server's own clock decides -----------

  let ticking = 0;
  let sentAtTheEnd = "";
  const clock = (element) => {
    clearInterval(ticking);
    if (!element) return;
    const end = performance.now() + 1000 * Number(element.dataset.seconds);
    const announce = JSON.parse(element.dataset.announce || "{}");
    const shown = element.querySelector("[data-clock]");
    const others = [...document.querySelectorAll("[data-other]")];
    let last = Number(element.dataset.seconds);
    const digits = (left) => {
      const hours = Math.floor(left / 3600);
      const rest = [Math.floor(left / 60) % 60, left % 60].map((n) => String(n).padStart(2, "0")).join(":");
      return hours ? hours + ":" + rest : rest;
    };
    const tick = () => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      shown.textContent = digits(left);
      for (const other of others) {
        const more = Number(other.dataset.other) - Number(element.dataset.seconds);
        other.querySelector("[data-clock]").textContent = digits(left + more);
      }
      element.classList.toggle("is-short", left <= (element.dataset.of === "item" ? 10 : 300));
      for (const mark of Object.keys(announce)) if (last > Number(mark) && left <= Number(mark)) speak(announce[mark]);
      last = left;
      if (left > 0) return;
      clearInterval(ticking);
      speak(element.dataset.over);
      // What is on the page is sent once, within the server's grace; then the server says how it ended.
      const form = content.querySelector("form[data-store]");
      const key = form ? form.querySelector("[name=key]").value : "";
      const answered = () => [...new FormData(form)].some(([name, value]) => /^(answer|match\.)/.test(name) && value);
      // An item or a section that is over makes room for what comes next, also with nothing to send. The
      // seconds shown are rounded down: a moment later it is over for the server too.
      const goesOn = element.dataset.of !== "session";
      if (form && sentAtTheEnd !== key && (goesOn || answered())) {
        sentAtTheEnd = key;
        setTimeout(() => {
          if (!busy) send(form, answered() ? null : { name: "blank", value: "1" }, true);
        }, answered() ? 0 : 1500);
        return;
      }
      say(element.dataset.over, "waiting");
      setTimeout(() => { if (!busy) location.reload(); }, 4000 + 2000 * Math.random());
    };
    ticking = setInterval(tick, 1000);
    tick();
  };

  // --- drafts: what is typed outlives a reload of this tab, and leaves with the tab -------------------------

  const drafts = (form) => {
    const field = form && form.querySelector("[data-draft]");
    if (!field || !form.dataset.draftKey) return;
    const key = "draft:" + form.dataset.draftKey;
    try {
      if (!field.value) field.value = sessionStorage.getItem(key) || "";
      field.addEventListener("input", () => sessionStorage.setItem(key, field.value));
    } catch { /* a browser that stores nothing still works */ }
  };
  const forget = (form) => {
    try { sessionStorage.removeItem("draft:" + form.dataset.draftKey); } catch { /* nothing was kept */ }
  };

  // --- sending: the same answer under the same key until the server has said that it is stored ---------------

  const post = async (form, body) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), 15000);
    try {
      return await fetch(form.action, {
        method: "POST", body, credentials: "same-origin", signal: giveUp.signal,
        headers: { "X-Fragment": "1", "Idempotency-Key": body.get("key") || "" },
      });
    } finally {
      clearTimeout(timer);
    }
  };

  const send = async (form, button, final) => {
    busy = true;
    form.setAttribute("aria-busy", "true");
    const body = new URLSearchParams(new FormData(form));
    if (button && button.name) body.set(button.name, button.value);
    say(form.dataset.saving);
    let reply = null;
    for (const wait of [0, ...PAUSES]) {
      if (wait) await pause(wait * (0.75 + Math.random() / 2));
      try {
        reply = await post(form, body);
        if (![408, 425, 429, 500, 502, 503, 504].includes(reply.status)) break;
        reply = null;
      } catch { reply = null; }
      say(form.dataset.waiting, "waiting");
    }
    busy = false;
    form.removeAttribute("aria-busy");
    if (!reply) return say(form.dataset.failed, "waiting");
    const fragment = reply.headers.get("X-Fragment") === "1";
    if (!fragment) {
      if (reply.redirected || final) { forget(form); location.assign(reply.redirected ? reply.url : location.href); return; }
      return say(form.dataset.refused, "waiting");
    }
    if (reply.ok) forget(form);
    show(await reply.text(), reply.ok ? form.dataset.stored : "", reply.headers.get("X-Address"));
  };

  const show = (markup, words, address) => {
    const page = new DOMParser().parseFromString(markup, "text/html").querySelector("[data-fragment]");
    document.title = page.dataset.title;
    content.replaceChildren(...page.childNodes);
    if (address) history.replaceState(null, "", address);
    begin();
    const target = document.getElementById("summary") || document.getElementById("stem") || document.getElementById("main");
    scrollTo(0, 0);
    target.focus({ preventScroll: target.id !== "summary" });
    say(words, words ? "stored" : "");
  };

  const begin = () => {
    for (const list of content.querySelectorAll("[data-order]")) order(list);
    drafts(content.querySelector("form[data-store]"));
    clock(document.getElementById("clock"));
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-store]") || !window.fetch) return;
    event.preventDefault();
    if (!busy) send(form, event.submitter, false);
  });

  begin();
  const faults = document.getElementById("summary");
  if (faults) faults.focus();
})();
