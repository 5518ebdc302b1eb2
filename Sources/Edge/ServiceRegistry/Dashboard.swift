import Discovery
import HTTPTypes
import ServiceKit
import Values

/// The registry for people: a page without scripts.
enum Dashboard {
    static func page(of registry: Registry, peers: Peers) -> Reply {
        let (leases, preservation, version, now) = registry.with { table, now in
            (table.leases.values.flatMap { Array($0.values) }, table.preservationState(at: now), table.version, now)
        }
        var page = OperatorPage("Service registry")
        page.raw("<header><h1>Service registry</h1><p>")
        page.text("\(leases.count) instances of \(Set(leases.map(\.instance.app)).count) applications, version \(version). As of ")
        page.raw("<time>")
        page.text(Instant(seconds: now.seconds).description)
        page.raw("</time>. <a href=\"\">Look again</a></p></header><main>")
        add(preservation, to: &page)
        add(leases, at: now, to: &page)
        add(peers, at: now, to: &page)
        page.raw("</main>")
        return page.reply
    }

    private static func add(_ preservation: Preservation.State, to page: inout OperatorPage) {
        page.raw("<section aria-labelledby=\"preservation\"><h2 id=\"preservation\">Preservation</h2><p role=\"status\">")
        if preservation.isActive {
            page.raw("<strong>On: instances stay listed although their leases have ended.</strong> ")
        } else if preservation.isWatching {
            page.text("Off: so many instances renew that one that does not is gone. ")
        } else if preservation.isEnabled {
            page.text("Off: with so few instances it is not used. ")
        } else {
            page.text("Off by a setting. ")
        }
        page.text("Renewals in the last minute: \(preservation.renewals). It begins below \(preservation.threshold).")
        page.raw("</p></section>")
    }

    private static func add(_ leases: [Lease], at now: Instant, to page: inout OperatorPage) {
        page.raw("<section aria-labelledby=\"instances\"><h2 id=\"instances\">Instances</h2>")
        guard !leases.isEmpty else {
            page.raw("<p>Nothing is registered.</p></section>")
            return
        }
        page.beginTable(labelledBy: "instances", ["Application", "Instance", "Status", "Address", "Last renewal", "Lease ends"])
        for (app, leases) in Dictionary(grouping: leases, by: \.instance.app).sorted(by: { $0.key < $1.key }) {
            page.raw("<tbody>")
            for (index, lease) in leases.sorted(by: { $0.instance.id < $1.instance.id }).enumerated() {
                page.raw("<tr>")
                if index == 0 {
                    page.raw("<th scope=\"rowgroup\" rowspan=\"\(leases.count)\">")
                    page.text(app)
                    page.raw("</th>")
                }
                add(lease, at: now, to: &page)
                page.raw("</tr>")
            }
            page.raw("</tbody>")
        }
        page.endTable()
        page.raw("</section>")
    }

    private static func add(_ lease: Lease, at now: Instant, to page: inout OperatorPage) {
        let instance = lease.instance
        page.cell(instance.id)
        page.raw("<td><span class=\"\(instance.status == .up ? "well" : "ill")\">\(instance.status.rawValue)</span>")
        if lease.override != nil { page.text(" (decreed)") }
        page.raw("</td>")
        page.cell("\(instance.ipAddress):\(instance.port.isEnabled ? instance.port.number : instance.securePort.number)")
        page.cell("\(max(0, now.seconds - instance.lease.lastRenewedAt / 1_000)) s ago")
        let left = lease.endsAt.seconds - now.seconds
        page.cell(left >= 0 ? "in \(left) s" : "\(-left) s ago; preserved")
    }

    private static func add(_ peers: Peers, at now: Instant, to page: inout OperatorPage) {
        page.raw("<section aria-labelledby=\"peers\"><h2 id=\"peers\">Peers</h2>")
        guard !peers.all.isEmpty else {
            page.raw("<p>This registry has no peers.</p></section>")
            return
        }
        page.beginTable(labelledBy: "peers", ["Peer", "State", "Last heard", "Not yet told"])
        page.raw("<tbody>")
        for peer in peers.all {
            let state = peer.state
            page.raw("<tr><th scope=\"row\">")
            page.text(peer.address.url)
            page.raw("</th>")
            page.cell(state.isSelf ? "this registry itself" : state.isReached ? "reached" : "not reached")
            page.cell(state.lastHeard.map { "\(now.seconds - $0.seconds) s ago" } ?? "never")
            page.cell("\(state.waiting) instances")
            page.raw("</tr>")
        }
        page.raw("</tbody>")
        page.endTable()
        page.raw("</section>")
    }
}
