// Every plot of the page, from the data beside it.
for (const root of document.querySelectorAll(".plot")) {
  const data = JSON.parse(document.getElementById(`${root.id}-data`).textContent);
  if (data) new Plot(root, data);
}
