"use strict";
// What the pages do: menu, language, dark mode, printing, and what scrolls or is copied. No library.

const byId = (id) => document.getElementById(id);
const keepChoice = (key, value) => {
  try {
    localStorage.setItem(key, value);
  } catch {} // a page on a disk may have no storage: then nothing is remembered
};

// ---- dark or light, printing

byId("book-dark").addEventListener("click", () => {
  const page = document.documentElement.dataset;
  page.theme = page.theme === "dark" ? "light" : "dark";
  keepChoice("optimlab-theme", page.theme);
});
byId("book-print").addEventListener("click", () => print());

// ---- the menu: a column on a wide screen, which can be put away; a dialog on a narrow one

const side = byId("pst-primary-sidebar");
const dialog = byId("pst-primary-sidebar-modal");
byId("book-menu").addEventListener("click", () => {
  if (matchMedia("(min-width: 992px)").matches) {
    side.classList.toggle("book-away");
  } else {
    dialog.append(...side.children);
    dialog.showModal();
  }
});
dialog.addEventListener("close", () => side.append(...dialog.children));
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside the menu
});
matchMedia("(min-width: 992px)").addEventListener("change", () => dialog.open && dialog.close());
side.querySelector(".current")?.scrollIntoView?.({ block: "nearest" });

// ---- search from anywhere: / or Ctrl+K

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing)) {
    event.preventDefault();
    if (!matchMedia("(min-width: 992px)").matches && !dialog.open) byId("book-menu").click();
    document.querySelector(".book-search input").focus();
  }
});

// ---- the same page and place in the other language: blocks stand in the same order in both editions

const blocks = [...document.querySelectorAll("article :is(h1, h2, h3, div.cell, div.math, dt.sig, tr)")];
const above = (i) => (i < 0 ? 0 : i < blocks.length ? blocks[i].getBoundingClientRect().top + scrollY : document.body.scrollHeight);
const place = () => {
  if (scrollY < 4) return null;
  const i = blocks.findLastIndex((block) => block.getBoundingClientRect().top <= 70); // below the bar
  const share = (scrollY + 70 - above(i)) / Math.max(1, above(i + 1) - above(i));
  return `at=${(i + Math.min(Math.max(share, 0), 1)).toFixed(4)}`;
};
const language = byId("book-language");
language.addEventListener("click", () => {
  keepChoice("optimlab-language", language.hreflang);
  const query = new URLSearchParams(location.search).get("q");
  const there = language.href.replace(/[?#].*/, "") + (query === null ? "" : `?q=${encodeURIComponent(query)}`);
  const here = place();
  language.href = here === null ? there : `${there}#${here}`;
});

const arrived = /^#at=(-?[\d.]+)$/.exec(location.hash);
if (arrived) {
  const i = Math.floor(Number(arrived[1]));
  let touched = false;
  for (const kind of ["wheel", "touchstart", "keydown", "pointerdown"]) addEventListener(kind, () => (touched = true), { once: true });
  const go = () => {
    if (!touched) scrollTo({ top: above(i) + (Number(arrived[1]) - i) * (above(i + 1) - above(i)) - 70, behavior: "instant" });
  };
  history.replaceState(null, "", location.pathname + location.search);
  go();
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise; // typeset formulas are taller
    go();
    document.documentElement.dataset.arrived = "yes";
  });
}

// ---- what is wider than the page scrolls alone, by keyboard too

const names = { formula: "div.math", code: "pre", table: ".book-scroll" };
for (const table of document.querySelectorAll("article table")) {
  const box = document.createElement("div");
  box.className = "book-scroll";
  table.before(box);
  box.append(table);
}
const reach = () => {
  for (const [name, selector] of Object.entries(names)) {
    for (const box of document.querySelectorAll(`article ${selector}`)) {
      const wide = box.scrollWidth > box.clientWidth;
      if (wide) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", document.body.dataset[name]);
      } else {
        for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
      }
    }
  }
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reach();
});
addEventListener("resize", reach);

// ---- code can be copied

for (const block of document.querySelectorAll("article .cell_input div.highlight, article div.highlight-bash div.highlight")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "book-copy";
  button.textContent = document.body.dataset.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent);
    button.textContent = document.body.dataset.copied;
    setTimeout(() => (button.textContent = document.body.dataset.copy), 1500);
  });
  block.append(button);
}

// ---- where in the page the reader is

const links = new Map([...document.querySelectorAll(".page-toc a")].map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
const headings = [...document.querySelectorAll("article :is(section, dt)[id]")].filter((section) => links.has(section.id));
if (headings.length) {
  const mark = () => {
    const now = headings.findLast((heading) => heading.getBoundingClientRect().top < 120) ?? headings[0];
    for (const [id, a] of links) a.classList.toggle("active", id === now.id);
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}
