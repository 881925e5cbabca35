"use strict";
(() => {
  const button = document.getElementById("copy");
  if (button === null) return;
  // For browsers that let no page write by itself: they copy what is selected. Nothing of it is ever painted.
  const copySelected = (text) => {
    const field = document.createElement("textarea");
    field.readOnly = true;
    field.value = text;
    button.after(field);
    field.select();
    field.setSelectionRange(0, text.length);
    try {
      document.execCommand("copy");
    } catch {
      // The store is there all the same.
    }
    field.remove();
  };
  const write = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copySelected(text);
    }
  };
  // Only by the visitor's tap. Without the fragment of the short URL: it may hold a key, and the app shows the server what it finds.
  button.addEventListener("click", (event) => {
    event.preventDefault();
    const late = new Promise((done) => { setTimeout(done, 1000); });
    const leave = () => location.assign(button.href);
    Promise.race([write(button.dataset.text), late]).then(leave, leave);
  });
})();
