// What a script adds to pages that work without it: an answer is sent without a page load and sent again
// when the line drops, an ordering moves by buttons, the clock runs, and the focus follows the item.
(() => {
  "use strict";

  const content = document.getElementById("content");
  const status = document.getElementById("status");
  const spoken = document.getElementById("spoken");
  // Answers of which this tab knows what became, should the browser not forget them when it is asked to: a
  // page that sends one again whenever it is loaded, and is loaded again for it, would never come to rest.
  const settled = {
    read() { try { return JSON.parse(sessionStorage.getItem("settled")) || []; } catch { return []; } },
    write(keys) { try { sessionStorage.setItem("settled", JSON.stringify(keys)); } catch { /* then not */ } },
    has(key) { return this.read().includes(key); },
    add(key) { this.write([...this.read().slice(-50), key]); },
    delete(key) { this.write(this.read().filter((other) => other !== key)); },
  };
  let busy = null; // the answer that is on its way
  let unsent = null; // the same, and one that the server could not store

  const say = (words, kind) => {
    if (!status) return;
    if (status.textContent !== words) status.textContent = words; // the same words are not announced again
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
      const key = form ? form.elements.key.value : "";
      const answered = () => [...new FormData(form)].some(([name, value]) => /^(answer|match\.)/.test(name) && value);
      // An item or a section that is over makes room for what comes next, also with nothing to send. The
      // seconds shown are rounded down: a moment later it is over for the server too.
      const goesOn = element.dataset.of !== "session";
      if (form && window.outbox && sentAtTheEnd !== key && (goesOn || answered())) {
        sentAtTheEnd = key;
        setTimeout(() => {
          if (!busy) send(entryOf(form, answered() ? null : { name: "blank", value: "1" }), true);
        }, answered() ? 0 : 1500);
        return;
      }
      say(element.dataset.over, "waiting");
      const ask = () => { if (!busy) location.reload(); };
      // Without a line there is nobody to ask; the browser's own error page would take this one's place.
      setTimeout(() => (navigator.onLine ? ask() : addEventListener("online", ask, { once: true })), 4000 + 2000 * Math.random());
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
  const forget = (entry) => {
    try { sessionStorage.removeItem("draft:" + entry.slot); } catch { /* nothing was kept */ }
  };

  // --- sending: the outbox keeps the answer and sends it; here it is said what became of it -------------------

  const words = (name, entry, time) =>
    (status.dataset[name] || "").replace("{n}", entry.number).replace("{time}", time || "");
  const clockTime = (instant) =>
    new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" })
      .format(new Date(instant));

  const entryOf = (form, button) => {
    const fields = [...new FormData(form)];
    if (button && button.name) fields.push([button.name, button.value]);
    const value = (name) => form.elements[name].value;
    return {
      key: outbox.keyFor(value("key")), slot: value("key"), session: form.dataset.session || "",
      position: Number(value("position")), revision: Number(value("revision")), number: form.dataset.n,
      fence: Number(status.dataset.fence) || 0, action: form.action, fields,
      taken: form.dataset.taken || "", at: Date.now(), kept: false,
    };
  };

  // What is on its way is not changed any more: the server may have it already.
  const lock = (form, closed) => {
    const controls = form && form.querySelector("fieldset.answer");
    if (!controls) return;
    if (closed && controls.contains(document.activeElement)) form.querySelector("button.primary").focus();
    controls.disabled = closed;
    if (closed) form.setAttribute("aria-busy", "true");
    else form.removeAttribute("aria-busy");
  };

  // Another page's answer, refused because this page is no longer in use; it goes out from the one that is.
  const borrowed = (entry, reply) => !reply.receipt && reply.leftBehind && !outbox.isOwn(entry);

  const send = async (entry, final) => {
    const form = content.querySelector("form[data-store]");
    busy = unsent = entry;
    settled.delete(entry.key);
    lock(form, true);
    say(words("storing", entry));
    if (entry.session && !entry.kept) await outbox.keep(entry);
    if (!navigator.onLine) say(words(entry.kept ? "waiting" : "unkept", entry), "waiting");
    const reply = await outbox.deliver(entry, () => say(words(entry.kept ? "waiting" : "unkept", entry), "waiting"));
    // Who is at the door, or an old form: loading the page again may settle that, and the answer is sent then.
    const unsettled = reply && ([401, 403, 404].includes(reply.status) || borrowed(entry, reply));
    if (reply && !unsettled && entry.session) {
      settled.add(entry.key);
      await outbox.forget(entry);
    }
    busy = null;
    unsent = reply ? null : entry;
    if (reply && (reply.fragment || reply.go)) settle(entry, reply);
    else {
      lock(form, false);
      if (final && reply) location.reload();
      else say(words(reply ? "refused" : "failed", entry), "waiting");
    }
  };

  const settle = (entry, reply) => {
    const stored = reply.receipt !== null;
    if (stored) forget(entry);
    const told = entry.taken && reply.ok ? entry.taken
      : stored ? words("stored", entry, clockTime(reply.receipt.stored_at)) : "";
    if (!reply.fragment) {
      if (!stored && entry.session) say(words("lost", entry), "waiting");
      location.assign(reply.go);
      return;
    }
    if (!stored && reply.status === 409 && !borrowed(entry, reply)) rescue(entry);
    show(reply.markup, told, reply.address);
  };

  // An answer that a window may no longer send is put back when the learner goes on with that item here.
  const rescue = (entry) => {
    try { sessionStorage.setItem("answer:" + entry.slot, JSON.stringify(entry.fields)); } catch { /* as above */ }
  };
  const putBack = (form) => {
    if (!form || !form.dataset.session) return;
    let fields = null;
    try {
      const key = "answer:" + form.elements.key.value;
      fields = JSON.parse(sessionStorage.getItem(key));
      sessionStorage.removeItem(key);
    } catch { /* nothing was kept */ }
    for (const [name, value] of fields || []) {
      if (!/^(answer$|match\.|place\.)/.test(name)) continue;
      for (const control of form.querySelectorAll('[name="' + CSS.escape(name) + '"]')) {
        if (!/^(radio|checkbox)$/.test(control.type)) control.value = value;
        else if (control.value === value) control.checked = true;
      }
    }
    const list = fields && form.querySelector("[data-order]");
    if (!list) return;
    const place = (line) => Number(line.querySelector("select").value);
    list.append(...[...list.querySelectorAll("[data-line]")].sort((a, b) => place(a) - place(b)));
  };

  const show = (markup, told, address) => {
    const page = new DOMParser().parseFromString(markup, "text/html").querySelector("[data-fragment]");
    document.title = page.dataset.title;
    content.replaceChildren(...page.childNodes);
    if (address) history.replaceState(null, "", address);
    begin();
    const target = document.getElementById("summary") || document.getElementById("stem") || document.getElementById("main");
    scrollTo(0, 0);
    target.focus({ preventScroll: target.id !== "summary" });
    say(told, told ? "stored" : "");
  };

  // What an earlier page of this session could not send goes out from this one, which is the one in use.
  const catchUp = async () => {
    if (!window.outbox || !status || !status.dataset.session) return;
    for (const entry of await outbox.waiting(status.dataset.session)) {
      if (busy) return;
      if (settled.has(entry.key)) continue;
      const mine = { csrf: status.dataset.csrf, ...(Number(status.dataset.fence) ? { fence: status.dataset.fence } : {}) };
      entry.fields = entry.fields.map(([name, value]) => [name, mine[name] ?? value]);
      entry.kept = true; // by the page whose it is, and it stays as that page kept it
      await send(entry, false);
    }
  };

  const begin = () => {
    const form = content.querySelector("form[data-store]");
    putBack(form);
    for (const list of content.querySelectorAll("[data-order]")) order(list);
    drafts(form);
    clock(document.getElementById("clock"));
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    // A thin line may have lost the outbox itself; then the form goes as it does without a script.
    if (!form.matches("form[data-store]") || !window.outbox) return;
    event.preventDefault();
    if (busy) outbox.wake();
    else send(entryOf(form, event.submitter), false);
  });
  addEventListener("beforeunload", (event) => { if (unsent && unsent.session) event.preventDefault(); });
  addEventListener("offline", () => { if (busy) say(words(busy.kept ? "waiting" : "unkept", busy), "waiting"); });

  // The fence leads from page to page where no script runs; in the address it would only be copied.
  const here = new URL(location.href);
  if (here.searchParams.has("fence")) {
    here.searchParams.delete("fence");
    history.replaceState(null, "", here);
  }
  begin();
  catchUp();
  const faults = document.getElementById("summary");
  if (faults) faults.focus();
})();
