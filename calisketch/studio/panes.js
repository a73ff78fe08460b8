// The four panes: what the server made of the last drawing. Nothing drawn: they are empty, and a line says why.
const EMPTY = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==";
const said = element.querySelector(".said"), legend = element.querySelector(".legend");

function show() {
  const value = props.value || {};
  element.querySelectorAll("figure").forEach((figure) => {
    const address = value[figure.dataset.pane], link = figure.querySelector("a");
    figure.querySelector("img").src = address || EMPTY;
    link.hidden = !address;
    if (address) link.href = address; else link.removeAttribute("href");
    link.setAttribute("aria-label", `Download as ${link.download}`);
  });
  legend.replaceChildren(...(value.legend || []).map(([name, colour, meaning]) => {
    const entry = document.createElement("span"), spot = document.createElement("i");
    spot.style.background = colour;
    entry.append(spot, `${name}: ${meaning}`);
    return entry;
  }));
  if (value.said) said.textContent = value.said;
  if (value.number) said.dataset.number = value.number;
}

// The work as a ZIP: packed by the server from what is on the sheet now, and saved by the browser.
element.addEventListener("click", async (event) => {
  if (!event.target.closest("[data-act=save]")) return;
  const value = props.value;
  if (!value || !value.face) { said.textContent = "There is nothing to save yet."; return; }
  let answer;
  try { answer = await server.save_work({drawn: window.calisketchSheet(), strength: value.strength, model: value.model}); }
  catch { answer = {error: "The studio did not answer. Is it still running?"}; }
  if (answer.error) { said.textContent = answer.error; return; }
  const bytes = Uint8Array.from(atob(answer.zip), (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], {type: "application/zip"}));   // a data address ends at 2 MB
  link.download = "calisketch-work.zip";
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
watch("value", () => { show(); window.calisketchShownAt = performance.now(); });
show();
