// Values of a chart beside the pointer, or by the arrow keys.
const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
const row = (text, className) => {
  const made = tip.appendChild(document.createElement("div"));
  made.textContent = text;
  made.className = className;
};
for (const chart of document.querySelectorAll("svg.chart[data-values]")) {
  const {x, at, lines} = JSON.parse(chart.dataset.values);
  const cursor = chart.querySelector(".cursor");
  let shown = -1;
  const hide = () => { tip.hidden = true; chart.classList.remove("read"); };
  const show = (index, left, top) => {
    shown = index;
    cursor.setAttribute("x1", x[index]);
    cursor.setAttribute("x2", x[index]);
    chart.classList.add("read");
    tip.replaceChildren();
    row(at[index], "head");
    for (const [name, className, values] of lines)
      if (values[index] !== null) row(`${name}  ${values[index]}`, className);
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(4, Math.min(left + 14, room))}px`;
    tip.style.top = `${Math.max(4, Math.min(top + 14, innerHeight - tip.offsetHeight - 4))}px`;
  };
  const point = event => {
    const box = chart.getBoundingClientRect();
    const to = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
    let index = 0;
    x.forEach((each, i) => { if (Math.abs(each - to) < Math.abs(x[index] - to)) index = i; });
    if (x.length) show(index, event.clientX, event.clientY);
  };
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (event.key === "Escape") hide();
    if (!step || !x.length) return;
    event.preventDefault();
    const box = chart.getBoundingClientRect();
    const index = Math.max(0, Math.min(x.length - 1, shown + step));
    const scale = box.width / chart.viewBox.baseVal.width;
    show(index, box.left + x[index] * scale, box.top);
  });
}
