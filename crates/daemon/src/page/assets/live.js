// Keeps the page as the daemon sees it: /stream says that something has changed, and the page fetches itself again.
"use strict";

const RETRY = 3000;
const state = document.getElementById("live");
let busy = false;
let again = false;

const say = (name, text) => {
  if (state.dataset.state !== name) {
    state.dataset.state = name;
    state.textContent = text;
  }
};

// Makes one element like another one, and keeps what has not changed: focus, selection, and what a person has opened.
const morph = (from, to) => {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  const [old, fresh] = [[...from.childNodes], [...to.childNodes]];
  fresh.forEach((node, at) => {
    const mine = old[at];
    if (!mine) from.appendChild(document.adoptNode(node));
    else if (mine.nodeName !== node.nodeName) mine.replaceWith(document.adoptNode(node));
    else if (node.nodeType === Node.ELEMENT_NODE) morph(mine, node);
    else if (mine.nodeValue !== node.nodeValue) mine.nodeValue = node.nodeValue;
  });
  old.slice(fresh.length).forEach((node) => node.remove());
};

const refresh = async () => {
  if (busy || document.hidden) {
    again = true;
    return;
  }
  busy = true;
  again = false;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    for (const mine of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(mine.id);
      if (fresh) morph(mine, fresh);
    }
    say("live", "live");
  } catch {
    say("away", "fleetdns does not answer; trying again");
  }
  busy = false;
  if (again) refresh();
};

const listen = () => {
  const source = new EventSource("/stream");
  source.addEventListener("change", refresh);
  source.addEventListener("error", () => {
    say("away", "connection lost; trying again");
    source.close();
    setTimeout(listen, RETRY);
  });
};

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && again) refresh();
});
if (document.querySelector("main[data-live]")) listen();
