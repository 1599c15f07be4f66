// Style: how a report looks, in daylight, at night, on a phone and on paper.
//
// The policy of the page names the hash of this text, so that no other style has any effect: the
// hash is that of the characters between <style> and </style>, and test/sql/report says the new
// one.
#pragma once

namespace cowrie::report {

inline constexpr char style_hash[] = "sha256-FLE5nhMM1J6gptX2x0An/ZIwiPZV4E+Ld15Ap3XB1sQ=";

inline constexpr char style[] = R"(
:root{color-scheme:light dark;--page:#f4f6f8;--card:#fff;--ink:#18212d;--soft:#5a6676;--line:#dde2e8;--code:#eef1f5;
--good:#12693d;--good-back:#e2f3e9;--warning:#855200;--warning-back:#fcefd6;--bad:#a4211a;--bad-back:#fbe6e4;
--c1:#3d6bd6;--c2:#1f9384;--c3:#d99a1b;--c4:#9a5bc4;--c5:#d65c4a}
@media (prefers-color-scheme:dark){:root{--page:#0f141a;--card:#171e27;--ink:#e4e9ef;--soft:#97a4b4;--line:#2a3441;--code:#212b37;
--good:#6fd69e;--good-back:#12301f;--warning:#f0bd62;--warning-back:#34270d;--bad:#ff9a90;--bad-back:#3b1714;
--c1:#7399ee;--c2:#43b8a8;--c3:#e6b347;--c4:#bb86e0;--c5:#e88272}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:66rem;padding:2.5rem 1.5rem 4rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif;-webkit-text-size-adjust:100%}
h1{margin:.1rem 0 .6rem;font-size:2rem;line-height:1.2;letter-spacing:-.01em}
h2{margin:0 0 .9rem;font-size:1.15rem}
p{margin:0 0 .8rem}
.kicker{margin:0;color:var(--soft);font-size:.8rem;font-weight:600;letter-spacing:.08em;text-transform:uppercase}
.lead{max-width:52rem;color:var(--soft);font-size:1.05rem}
.verdict{display:inline-block;margin:0 0 1rem;padding:.3rem .9rem;border-radius:99px;font-weight:650;background:var(--code)}
.good{color:var(--good)}.warning{color:var(--warning)}.bad{color:var(--bad)}
.verdict.good,.note.good{background:var(--good-back)}.verdict.warning,.note.warning{background:var(--warning-back)}
.verdict.bad,.note.bad{background:var(--bad-back)}
nav{margin:1.4rem 0 1.6rem}
nav ul{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;margin:0;padding:0;list-style:none;font-size:.9rem}
a{color:var(--c1)}
section,.figures li{background:var(--card);border:1px solid var(--line);border-radius:12px}
section{margin:0 0 1.1rem;padding:1.3rem 1.5rem;scroll-margin-top:1rem}
section>:last-child{margin-bottom:0}
.figures{padding:0;list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;margin:0 0 1.1rem}
.figures li{padding:.9rem 1.1rem}
.figures span{display:block}
.figures .name{color:var(--soft);font-size:.85rem}
.figures .value{font-size:1.55rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}
.figures .about{color:var(--soft);font-size:.85rem}
.facts{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.3rem 1.5rem;margin:0 0 .8rem}
.facts dt{color:var(--soft)}
@media (min-width:56rem){.facts{grid-template-columns:max-content 1fr max-content 1fr}}
.facts dd{margin:0;overflow-wrap:anywhere}
.note{margin:0 0 1.1rem;padding:.9rem 1.2rem;border-radius:10px;background:var(--code)}
.note p{margin:.2rem 0;color:var(--ink);overflow-wrap:anywhere}
.note .heading{font-weight:650;color:inherit}
.scroll{overflow-x:auto;margin:0 -.4rem .8rem;padding:0 .4rem}
table{width:100%;border-collapse:collapse;font-size:.93rem}
th,td{padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
tbody tr:last-child td{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
th{color:var(--soft);font-size:.8rem;font-weight:600;white-space:nowrap}
td{overflow-wrap:anywhere}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.mark{white-space:nowrap;font-weight:600}
.aside{display:block;color:var(--soft);font-size:.85rem}
code{padding:.08em .35em;border-radius:5px;background:var(--code);font:.88em/1.4 ui-monospace,"Cascadia Code","DejaVu Sans Mono",Menlo,monospace;overflow-wrap:anywhere}
th.bar,td.bar{width:34%;min-width:7rem;padding-left:.6rem}
td.bar{padding-top:.78rem}
svg{display:block;width:100%}
td.bar svg{height:.7rem}
.strip svg{height:1.6rem;border-radius:7px}
.track{fill:var(--code)}
.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}
.strip{margin:0 0 1.2rem}
.strip ul{display:flex;flex-wrap:wrap;gap:.3rem 1.3rem;margin:.6rem 0 0;padding:0;list-style:none;font-size:.88rem;color:var(--soft)}
.strip li svg{display:inline-block;width:.75rem;height:.75rem;margin-right:.4rem;border-radius:3px;vertical-align:-.05rem}
.strip li b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
footer{margin-top:1.6rem;color:var(--soft);font-size:.85rem}
@media (max-width:40rem){body{padding:1.4rem .8rem 3rem}h1{font-size:1.55rem}section{padding:1.1rem 1rem}
.figures{grid-template-columns:1fr 1fr;gap:.6rem}.figures li{padding:.7rem .8rem}.figures .value{font-size:1.25rem}
.facts{grid-template-columns:minmax(5.5rem,8.5rem) 1fr;gap:.35rem .9rem;font-size:.93rem}.facts dt{overflow-wrap:anywhere}
.figures li:last-child:nth-child(odd){grid-column:1/-1}table{min-width:38rem;font-size:.88rem}}
@media print{:root{color-scheme:light}body{max-width:none;padding:0;background:#fff;font-size:10pt}nav{display:none}
section,.figures li{border-color:#bbb;border-radius:0}section{padding:.8rem 1rem}tr,.figures li,.note,.strip{break-inside:avoid}
h2{break-after:avoid}.scroll{overflow:visible}svg,.verdict,.note,code{-webkit-print-color-adjust:exact;print-color-adjust:exact}@page{margin:14mm}}
)";

} // namespace cowrie::report
