"use strict";
(() => {
  const { automatic, fallback } = document.querySelector("main").dataset;
  const link = (id) => document.getElementById(id);
  // The fragment of the short URL never reaches the server, and may hold a key: it goes on to where there is none.
  const withFragment = (url) => {
    if (location.hash.length < 2) return url;
    const end = url.startsWith("intent:") ? url.lastIndexOf("#Intent;") : url.length;
    if (end < 0 || url.slice(0, end).includes("#")) return url;
    return url.slice(0, end) + location.hash + url.slice(end);
  };
  for (const id of ["open", "web"]) {
    const found = link(id);
    if (found) found.setAttribute("href", withFragment(found.getAttribute("href")));
  }
  if (automatic === undefined) return;
  // An app that opens hides the page; then nobody may be sent away behind it.
  let left = false;
  const leave = () => { left = true; };
  document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); });
  addEventListener("pagehide", leave);
  // Not before the page is there: a browser that is sent away while it reads a page never finishes it.
  addEventListener("load", () => {
    const next = fallback && link(fallback).getAttribute("href");
    if (next) setTimeout(() => { if (!left && !document.hidden) location.replace(next); }, 1500);
    try {
      location.assign(link("open").getAttribute("href"));
    } catch {
      // No URL of an app: the other ways are there.
    }
  });
})();
