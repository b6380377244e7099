// The page works without this file. It loads the page again every other second and
// changes what has changed, sorts the holders without loading, and nothing else. It
// keeps no state but the address of the page.
"use strict";

(() => {
  const every = 2000; // ms from one answer to the next question
  const patience = 10000; // ms until a question is given up

  let paused = false;
  let timer = 0;
  let asking = null; // the AbortController of the question that is open
  let lastAnswer = null; // the clock of the page at the last answer

  const byId = (id) => document.getElementById(id);

  // What a person has changed is not the server's to change back.
  const ours = (element, name) =>
    (element.nodeName === "DETAILS" && name === "open") || element.id === "pause";

  function patchAttributes(old, now) {
    for (const { name } of [...old.attributes]) {
      if (!now.hasAttribute(name) && !ours(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value && !ours(old, name)) old.setAttribute(name, value);
    }
  }

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  // patch makes old what now is, and touches no node that is the same in both, so that
  // focus, selection, scroll positions and open details stay.
  function patch(old, now) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
      return;
    }
    patchAttributes(old, now);
    if (old.id === "pause" || old.id === "status") return;
    const keyed = new Map();
    for (const child of old.childNodes) {
      if (keyOf(child) !== null) keyed.set(keyOf(child), child);
    }
    let at = old.firstChild;
    for (const next of [...now.childNodes]) {
      const key = keyOf(next);
      const moved = key === null ? undefined : keyed.get(key);
      if (moved && alike(moved, next)) {
        if (moved === at) at = at.nextSibling;
        else old.insertBefore(moved, at);
        patch(moved, next);
      } else if (at && key === null && alike(at, next)) {
        const same = at;
        at = at.nextSibling;
        patch(same, next);
      } else {
        old.insertBefore(document.importNode(next, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function show(html) {
    const now = new DOMParser().parseFromString(html, "text/html");
    const main = now.querySelector("main");
    if (!main) return false;
    const focus = document.activeElement;
    document.title = now.title;
    patch(document.querySelector("header.top"), now.querySelector("header.top"));
    patch(document.querySelector("main"), main);
    if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
    return true;
  }

  function say(text) {
    const status = byId("status");
    if (status.textContent !== text) status.textContent = text;
  }

  async function refresh() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = new AbortController();
    asking = mine;
    const giveUp = setTimeout(() => mine.abort(), patience);
    const address = location.href;
    try {
      const answer = await fetch(address, {
        headers: { Accept: "text/html" },
        cache: "no-store",
        credentials: "same-origin",
        signal: mine.signal,
      });
      const html = answer.ok ? await answer.text() : "";
      if (asking !== mine || address !== location.href) return;
      if (!html || !show(html)) throw new Error("no page");
      lastAnswer = byId("clock").textContent;
      document.body.classList.remove("stale");
      say(paused ? "paused" : "");
    } catch {
      if (asking !== mine) return; // another question has taken its place
      document.body.classList.add("stale");
      say("no answer since " + lastAnswer);
    } finally {
      clearTimeout(giveUp);
      if (asking === mine) {
        asking = null;
        plan();
      }
    }
  }

  function plan() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, every);
  }

  function stop() {
    clearTimeout(timer);
    if (asking) asking.abort();
    asking = null;
  }

  function value(row, column, kind) {
    const v = row.cells[column].getAttribute("data-v");
    return kind === "n" ? Number(v) : v;
  }

  // sortBy sorts every table of holders as the server would.
  function sortBy(key, kind, descending) {
    for (const table of document.querySelectorAll("table.holders")) {
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((head) => head.firstElementChild.dataset.sort === key);
      for (const head of heads) head.setAttribute("aria-sort", "none");
      heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows];
      rows.sort((a, b) => {
        const x = value(a, column, kind);
        const y = value(b, column, kind);
        const order = x < y ? -1 : x > y ? 1 : 0;
        return (descending ? -order : order) || Number(a.dataset.id) - Number(b.dataset.id);
      });
      body.append(...rows);
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sort]");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const { sort, kind } = link.dataset;
    const was = link.parentElement.getAttribute("aria-sort");
    const descending = was === "none" ? kind === "n" : was === "ascending";
    sortBy(sort, kind, descending);
    // The link may be that of the order before: only an answer of the server turns it round.
    const address = new URL(location.href);
    address.searchParams.set("sort", sort);
    address.searchParams.set("order", descending ? "desc" : "asc");
    history.replaceState(null, "", address);
    refresh();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else if (!paused) refresh();
  });

  const button = byId("pause");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    document.body.classList.toggle("paused", paused);
    if (paused) {
      stop();
      say("paused");
    } else {
      say("");
      refresh();
    }
  });

  lastAnswer = byId("clock").textContent;
  plan();
})();
