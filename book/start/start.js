"use strict";
// The edition the reader chose before, or else the browser's language; index.html?choose only shows the links.
const remembered = () => {
  try {
    return localStorage.getItem("optimlab-language");
  } catch {
    return null; // a page on a disk may have no storage
  }
};
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => {
    try {
      localStorage.setItem("optimlab-language", link.hreflang);
    } catch {}
  });
}
if (location.search !== "?choose") {
  const preferred = navigator.languages.find((language) => /^(zh|en)\b/i.test(language)) ?? "en";
  const wanted = remembered() ?? preferred.slice(0, 2).toLowerCase();
  location.replace(document.querySelector(`nav a[hreflang="${wanted === "zh" ? "zh" : "en"}"]`).href);
}
