import ServiceKit
import Values

/// The gateway for people: upstreams and routes, kept up to date in place by a small script; without it by looking again.
enum AdminPage {
    static func page(of routes: RouteReport, _ upstreams: UpstreamReport) -> Reply {
        var page = OperatorPage("Border Gateway", script: script)
        page.raw("<header><h1>Border Gateway</h1><p id=\"look\"><a href=\"\">Look again</a></p>")
        page.raw(
            "<button type=\"button\" aria-pressed=\"false\" hidden>Hold still</button><p role=\"status\"></p></header><main><p>As of <time>"
        )
        page.text(Instant(seconds: Instant.now.seconds).description)
        page.raw(
            "</time>. As JSON: <a href=\"routes\">routes</a>, <a href=\"upstreams\">upstreams</a>; also <a href=\"metrics\">metrics</a>")
        page.raw(" and <a href=\"health/ready\">readiness</a>.</p>")
        add(upstreams, to: &page)
        add(routes, to: &page)
        page.raw("</main>")
        return page.reply
    }

    private static func add(_ upstreams: UpstreamReport, to page: inout OperatorPage) {
        page.raw("<section aria-labelledby=\"upstreams\"><h2 id=\"upstreams\">Upstreams</h2>")
        page.beginTable(
            labelledBy: "upstreams",
            [
                "Service", "Known from", "Asked", "Instance", "In hand", "Idle connections", "Failures in a row", "Latency",
                "Left alone until",
            ])
        for item in upstreams.items {
            page.raw("<tbody>")
            let rows = max(1, item.instances.count)
            for index in 0..<rows {
                page.raw("<tr>")
                if index == 0 { add(item, over: rows, to: &page) }
                if item.instances.isEmpty {
                    let isHere = item.source == .thisProcess
                    page.raw("<td colspan=\"6\">\(isHere ? "in this process" : "<span class=\"ill\">no instance</span>")</td>")
                } else {
                    add(item.instances[index], to: &page)
                }
                page.raw("</tr>")
            }
            page.raw("</tbody>")
        }
        page.endTable()
        page.raw("</section>")
    }

    private static func add(_ item: UpstreamReport.Item, over rows: Int, to page: inout OperatorPage) {
        page.raw("<th scope=\"rowgroup\" rowspan=\"\(rows)\">")
        page.text(item.service)
        page.raw("</th><td rowspan=\"\(rows)\">")
        page.text(item.source == .thisProcess ? "" : item.source.rawValue)
        let isAsked = item.circuit == "closed"
        page.raw(
            "</td><td rowspan=\"\(rows)\"><span class=\"\(isAsked ? "well" : "ill")\">\(isAsked ? "yes" : "no: circuit \(item.circuit)")</span></td>"
        )
    }

    private static func add(_ place: UpstreamReport.Place, to page: inout OperatorPage) {
        page.cell(place.address)
        page.cell("\(place.inHand)", isNumber: true)
        page.cell("\(place.idle)", isNumber: true)
        page.cell("\(place.failuresInRow)", isNumber: true)
        page.cell(place.latencyMilliseconds.map { "\(Double(Int($0 * 10)) / 10) ms" } ?? "", isNumber: true)
        page.raw("<td>")
        if let until = place.ejectedUntil {
            page.raw("<span class=\"ill\">")
            page.text(until)
            page.raw("</span>")
        }
        page.raw("</td>")
    }

    private static func add(_ routes: RouteReport, to page: inout OperatorPage) {
        page.raw("<section aria-labelledby=\"routes\"><h2 id=\"routes\">Routes</h2><p>")
        page.text("Of all routes together: \(text(routes.limits)). Requests without a route: \(routes.unrouted).")
        page.raw("</p>")
        page.beginTable(
            labelledBy: "routes",
            ["Path", "Methods", "To", "Body, at most", "Time, at most", "Limits for each address", "Requests", "Failures"])
        page.raw("<tbody>")
        for item in routes.items {
            page.raw("<tr>")
            page.rowTitle(item.hosts.joined(separator: ", ") + item.path)
            page.cell(item.methods.isEmpty ? "all" : item.methods.joined(separator: ", "))
            page.cell(item.to)
            page.cell("\(item.bodyLimit) bytes\(item.isStream ? ", as a stream" : "")", isNumber: true)
            page.cell("\(item.seconds) s", isNumber: true)
            page.cell(item.limits.isEmpty ? "" : text(item.limits))
            page.cell("\(item.requests)", isNumber: true)
            page.cell("\(item.failures)", isNumber: true)
            page.raw("</tr>")
        }
        page.raw("</tbody>")
        page.endTable()
        page.raw("</section>")
    }

    private static func text(_ limits: [RouteReport.Limit]) -> String {
        guard !limits.isEmpty else { return "no limit" }
        return limits.map { "\($0.name) \($0.requests) in \($0.seconds) s, \($0.burst) at once" }.joined(separator: "; ")
    }

    static let script = "refresh.js"

    /// Changes only what differs, so that nothing flickers, and whoever reads, scrolls or has the focus stays where they are.
    static let refreshing = """
        "use strict";
        const pause = 2000;
        const button = document.querySelector("button");
        const status = document.querySelector("[role=status]");
        let holds = false;

        function take(old, fresh) {
            if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.childNodes.length !== fresh.childNodes.length) {
                old.replaceWith(document.importNode(fresh, true));
            } else if (old.nodeType === Node.TEXT_NODE) {
                if (old.data !== fresh.data) old.data = fresh.data;
            } else {
                for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
                const children = [...fresh.childNodes];
                [...old.childNodes].forEach((child, index) => take(child, children[index]));
            }
        }

        async function look() {
            if (!holds && document.visibilityState === "visible") {
                try {
                    const answer = await fetch(location.href, { cache: "no-store" });
                    if (!answer.ok) throw new Error(answer.status);
                    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
                    if (!holds) take(document.querySelector("main"), fresh.querySelector("main"));
                    if (status.textContent) status.textContent = "";
                } catch {
                    if (!status.textContent) status.textContent = "The gateway does not answer. What is shown is of before.";
                }
            }
            setTimeout(look, pause);
        }

        document.getElementById("look").hidden = true;
        button.hidden = false;
        button.addEventListener("click", () => {
            holds = !holds;
            button.setAttribute("aria-pressed", String(holds));
        });
        setTimeout(look, pause);

        """
}
