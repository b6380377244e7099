// The page works without this file. It loads the page again every other second,
// updates what is different, and sorts the holders without loading. Its only state is
// the address of the page.
"use strict";

(() => {
  const interval = 2000; // ms from an answer to the next request
  const timeout = 10000; // ms until a request is aborted

  let paused = false;
  let timer = 0;
  let request = null; // the AbortController of the request in progress
  let lastAnswer = null; // the clock of the page at the last answer

  const byId = (id) => document.getElementById(id);

  // What the reader has changed stays as it is.
  const keptAsIs = (element, name) =>
    (element.nodeName === "DETAILS" && name === "open") || element.id === "pause";

  function patchAttributes(old, now) {
    for (const { name } of [...old.attributes]) {
      if (!now.hasAttribute(name) && !keptAsIs(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value && !keptAsIs(old, name)) old.setAttribute(name, value);
    }
  }

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  // patch makes old equal to now. It leaves nodes alone that are the same in both, so
  // that focus, selection, scroll positions and open details stay.
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

  function setStatus(text) {
    const status = byId("status");
    if (status.textContent !== text) status.textContent = text;
  }

  async function refresh() {
    clearTimeout(timer);
    if (request) request.abort();
    const mine = new AbortController();
    request = mine;
    const giveUp = setTimeout(() => mine.abort(), timeout);
    const address = location.href;
    try {
      const answer = await fetch(address, {
        headers: { Accept: "text/html" },
        cache: "no-store",
        credentials: "same-origin",
        signal: mine.signal,
      });
      const html = answer.ok ? await answer.text() : "";
      if (request !== mine || address !== location.href) return;
      if (!html || !show(html)) throw new Error("no page");
      lastAnswer = byId("clock").textContent;
      document.body.classList.remove("stale");
      setStatus(paused ? "paused" : "");
    } catch {
      if (request !== mine) return; // a newer request has replaced it
      document.body.classList.add("stale");
      setStatus("no answer since " + lastAnswer);
    } finally {
      clearTimeout(giveUp);
      if (request === mine) {
        request = null;
        schedule();
      }
    }
  }

  function schedule() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, interval);
  }

  function stop() {
    clearTimeout(timer);
    if (request) request.abort();
    request = null;
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
    // The link may still have the previous order: only an answer of the server updates it.
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
      setStatus("paused");
    } else {
      setStatus("");
      refresh();
    }
  });

  lastAnswer = byId("clock").textContent;
  schedule();
})();
