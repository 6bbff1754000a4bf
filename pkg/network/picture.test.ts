// Drawings of networks; e2e/network-picture.test.ts has a parser of XML read one.
import t from "tap";
import { drawn, type Picture, svgOf } from "./picture.ts";

const web = { container: ["web", "eth0 10.5.0.2/24"], hostEnd: "veth1 #4", isLinked: true };
const db = { container: ["db", "eth0 10.5.0.3/24", "alias store"], hostEnd: "veth2 #5", isLinked: true };
const picture: Picture = {
  title: "front: bridge, 10.5.0.0/24",
  attachments: [web, db],
  middle: "br-front #3  10.5.0.1/24",
  beyond: [{ label: "", text: "  :  routed" }],
};

t.test("containers stand beside each other, above the bridge that joins them", async (t) => {
  t.equal(
    `\n${drawn(picture)}\n`,
    `
front: bridge, 10.5.0.0/24

containers  web                     db
            eth0 10.5.0.2/24        eth0 10.5.0.3/24
                                    alias store
              |                       |
host        veth1 #4                veth2 #5
              |                       |
            --+-----------------------+-- br-front #3  10.5.0.1/24
              :  routed
`,
  );
});

t.test("a container whose link is gone has no line to the bridge", async (t) => {
  const gone = { ...db, hostEnd: undefined, isLinked: false };
  t.match(drawn({ ...picture, attachments: [web, gone] }), /^ {12}--\+-- br-front/m);
  t.match(drawn({ ...picture, attachments: [gone, web] }), /^ {12}-{26}\+-- br-front/m);
  t.match(drawn({ ...picture, attachments: [gone] }), /^host {8}br-front/m);
});

t.test("interfaces on a parent have no end in the host, and a network without containers has its bridge", async (t) => {
  const onParent = drawn({ ...picture, attachments: [{ ...web, hostEnd: undefined }], middle: "eth1" });
  t.match(onParent, /eth0 10\.5\.0\.2\/24\n {14}\|\nhost {8}--\+-- eth1\n/);
  t.match(drawn({ ...picture, attachments: [] }), /\n\nhost {8}br-front/);
});

t.test("no line of many containers is wider than a terminal, and each is drawn once", async (t) => {
  const many = Array.from({ length: 30 }, (_, i) => ({ ...web, container: [`web${i}.`], hostEnd: `veth${i}.` }));
  const text = drawn({ ...picture, attachments: many });
  t.strictSame(
    text.split("\n").filter((line) => line.split("-- ")[0] !== undefined && (line.split("-- ")[0] ?? "").length > 80),
    [],
  );
  for (let i = 0; i < 30; i++) t.equal(text.split(`web${i}.`).length, 2);
});

t.test("the SVG has a box for each end, a line for each link, and shows odd names as they are", async (t) => {
  const odd = { ...web, container: ['<b>&"\u0007\ufffe'], isLinked: false };
  const svg = svgOf([picture, { ...picture, attachments: [odd] }]);
  t.equal(svg.match(/<rect [^>]* rx=/g)?.length, 6, "three containers, three ends in the host");
  t.equal(svg.match(/<line /g)?.length, 2);
  t.match(svg, ">&lt;b&gt;&amp;&quot;\ufffd\ufffd</text>");
});
