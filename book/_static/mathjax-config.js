window.MathJax = {
  loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]], processEnvironments: false, processRefs: false },
  chtml: { matchFontHeight: false, scale: 1.12 }, // the same size beside any system's font
  options: { ignoreHtmlClass: "tex2jax_ignore|bd-article-container", processHtmlClass: "math" },
};
