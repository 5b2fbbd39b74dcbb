// An answer on its way: kept in the browser's own database before it is sent, sent until the server has said
// what became of it, and forgotten only then. It outlives a lost line, a reload and a crash of the tab.
// All tabs share the database. Each page keeps under keys of its own, so that none writes over or deletes what
// another one has not sent; what a page left behind, the next one sends.
(() => {
  "use strict";

  const STORE = "answers";
  const WEEK = 7 * 24 * 3600 * 1000; // as long as the cookie that lets it in
  const PAUSES = [800, 1500, 3000, 5000, 8000, 12000, 20000, 30000];
  const SERVER_FAULTS = 6; // a server that fails so often on one answer needs a person
  const AGAIN = [408, 425, 429, 500, 502, 503, 504];
  const sleepers = new Set();
  const page = [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join("");
  let opening = null;

  // --- keeping ------------------------------------------------------------------------------------------

  const within = (ms, promise) =>
    Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error("slow")), ms))]);

  const open = () => {
    opening ??= new Promise((done, fail) => {
      const request = indexedDB.open("assess", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
      request.onsuccess = () => {
        request.result.onclose = () => { opening = null; };
        request.result.onversionchange = () => { request.result.close(); opening = null; };
        done(request.result);
      };
      request.onerror = request.onblocked = () => fail(request.error);
    });
    return opening;
  };

  const run = async (mode, work) => {
    const database = await open();
    return new Promise((done, fail) => {
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = transaction.onerror = () => fail(transaction.error);
    });
  };

  // Some browsers refuse, and some never answer; neither may keep the answer from being sent.
  const trying = async (mode, work) => {
    try { return { found: await within(2000, run(mode, work)) }; } catch { return null; }
  };

  // The same page writes over what it kept itself: a learner may change what the server could not store.
  const keyFor = (slot) => slot + ":" + page;
  const isOwn = (entry) => entry.key.endsWith(":" + page);
  const keep = async (entry) => {
    entry.kept = (await trying("readwrite", (store) => store.put(entry))) !== null;
  };
  // Only what was sent: the page whose entry it is may have kept another answer under the same key since.
  const forget = (entry) => trying("readwrite", (store) => {
    const request = store.get(entry.key);
    request.onsuccess = () => {
      if (request.result && request.result.at === entry.at) store.delete(entry.key);
    };
    return request;
  });
  const waiting = async (session) => {
    const all = await trying("readonly", (store) => store.getAll());
    const found = all ? all.found : [];
    for (const entry of found.filter((entry) => Date.now() - entry.at > WEEK)) await forget(entry);
    // Of two answers to one item, that of the newest opening counts: the other tab was no longer in use.
    return found.filter((entry) => entry.session === session && Date.now() - entry.at <= WEEK)
      .sort((a, b) => a.position - b.position || (b.fence || 0) - (a.fence || 0) || b.at - a.at);
  };

  // --- sending ------------------------------------------------------------------------------------------

  const sleep = (ms) => new Promise((done) => {
    const wake = () => { clearTimeout(timer); sleepers.delete(wake); done(); };
    const timer = setTimeout(wake, ms);
    sleepers.add(wake);
  });
  const wake = () => { for (const end of [...sleepers]) end(); };
  addEventListener("online", wake);

  // Only what names this very answer is its receipt.
  const receiptFor = (entry, header) => {
    try {
      const receipt = JSON.parse(header);
      const same = ["session", "position", "revision"].every((name) => receipt[name] === entry[name]);
      return same && receipt.signature ? receipt : null;
    } catch { return null; }
  };

  const attempt = async (entry) => {
    const body = new URLSearchParams(entry.fields).toString();
    const giveUp = new AbortController();
    // A long text on a thin line takes its time: 2 kB in a second are waited for.
    const timer = setTimeout(() => giveUp.abort(), 15000 + body.length / 2);
    try {
      const reply = await fetch(entry.action, {
        method: "POST", body, credentials: "same-origin", signal: giveUp.signal,
        headers: {
          "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
          "X-Fragment": "1", "Idempotency-Key": entry.key,
        },
      });
      const markup = await reply.text();
      const header = (name) => reply.headers.get(name);
      // Not from our server: a proxy, or the page that a hotel puts before the internet.
      if (!header("X-Request-Id")) return null;
      const receipt = entry.session ? receiptFor(entry, header("X-Receipt")) : null;
      return {
        status: reply.status, ok: reply.ok, markup, receipt, fragment: header("X-Fragment") === "1",
        address: header("X-Address"), go: header("X-Go") || (reply.redirected ? reply.url : null),
        leftBehind: header("X-Left-Behind") === "1",
        again: AGAIN.includes(reply.status), after: 1000 * (Number(header("Retry-After")) || 0),
      };
    } catch { return null; } finally { clearTimeout(timer); }
  };

  // Until the server has said what became of the answer; null when it fails again and again.
  const deliver = async (entry, onWait) => {
    let faults = 0;
    for (let n = 0; ; n += 1) {
      const reply = await attempt(entry);
      if (reply && !reply.again) return reply;
      if (reply && reply.status === 500) faults += 1;
      if (faults >= SERVER_FAULTS) return null;
      onWait();
      // The server's own word on when to come back holds, also when the line is back before.
      const due = performance.now() + Math.min(reply ? reply.after : 0, 120000);
      await sleep(PAUSES[Math.min(n, PAUSES.length - 1)] * (0.75 + Math.random() / 2));
      while (performance.now() < due) await sleep((due - performance.now()) * (1 + Math.random() / 4));
    }
  };

  window.outbox = { keyFor, isOwn, keep, forget, waiting, deliver, wake };
})();
