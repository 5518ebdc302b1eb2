import Contracts
import Values

/// What each kind of mail says.
extension MailDocument {
    static func confirmation(of order: OrderFacts, for event: Event, tickets: [ShownTicket], link: String) -> MailDocument {
        MailDocument(
            subject: "Your tickets for \(event.name), order \(order.number)",
            blocks: [
                .paragraph("Hello \(order.buyer.name),"),
                .paragraph("thank you for your order. Here are your tickets; show the code of each at the door."),
                .heading(event.name), .lines(occasion(event)),
            ] + tickets.map(Block.ticket) + [
                .heading("Order \(order.number)"), .amounts(amounts(order)),
                .link(label: "Your order", url: link),
                .paragraph("Whoever has this link or a code has your tickets, so keep them to yourself."),
            ])
    }

    static func ending(of order: OrderFacts, for event: Event, reason: String, link: String) -> MailDocument {
        let explanation =
            switch reason {
            case "unfulfillable":
                """
                your payment arrived when the tickets were no longer there, so that we cannot fulfil your order \(order.number). \
                What you paid goes back to you the way it came; there is nothing that you have to do.
                """
            case "event-canceled":
                """
                the event was canceled, and with it your order \(order.number). Its tickets are no longer valid. If money goes back \
                to you, another mail tells you so.
                """
            default:
                """
                your order \(order.number) was canceled, and its tickets are no longer valid. If money goes back to you, another \
                mail tells you so.
                """
            }
        return MailDocument(
            subject: reason == "event-canceled" ? "Canceled: \(event.name)" : "Your order \(order.number) for \(event.name) was canceled",
            blocks: [
                .paragraph("Hello \(order.buyer.name),"), .paragraph(explanation), .heading(event.name), .lines(occasion(event)),
                .link(label: "Your order", url: link),
            ])
    }

    static func refund(of amount: Money, from order: OrderFacts, for event: Event, link: String) -> MailDocument {
        MailDocument(
            subject: "Refund of \(amount) for your order \(order.number)",
            blocks: [
                .paragraph("Hello \(order.buyer.name),"),
                .paragraph(
                    """
                    \(amount) of your order \(order.number) for \(event.name) goes back to you the way it came. It may take some days \
                    until your bank shows it. Tickets that were refunded are no longer valid.
                    """),
                .link(label: "Your order", url: link),
            ])
    }

    static func transfer(to name: String, of ticket: ShownTicket, for event: Event, link: String) -> MailDocument {
        MailDocument(
            subject: "Your ticket for \(event.name)",
            blocks: [
                .paragraph("Hello \(name),"),
                .paragraph("somebody handed this ticket on to you. It is yours alone now; show its code at the door."),
                .heading(event.name), .lines(occasion(event)), .ticket(ticket), .link(label: "Your ticket", url: link),
                .paragraph("Whoever has this link or the code has your ticket, so keep them to yourself."),
            ])
    }

    static func verification(name: String, token: String, publicURL: String) -> MailDocument {
        MailDocument(
            subject: "Confirm your e-mail address",
            blocks: [
                .paragraph("Hello \(name),"),
                .paragraph("an account was made with this address. To confirm that it is yours, enter this code:"),
                .code(token),
                .paragraph("Programs send it as token to \(publicURL)/api/v1/auth/verify-email."),
                .paragraph("If it was not you, do nothing: without the code the address is not confirmed."),
            ])
    }

    /// When, in the event's own time, and where.
    private static func occasion(_ event: Event) -> [String] {
        var lines = ["\(event.startsAt.described(in: event.timeZone)) (\(event.timeZone))"]
        if let venue = event.venue {
            lines.append(venue.name)
            if let street = venue.street { lines.append(street) }
            lines.append("\(venue.city), \(venue.country)")
        }
        if let url = event.onlineURL { lines.append(url) }
        return lines
    }

    private static func amounts(_ order: OrderFacts) -> [Amount] {
        let totals = order.totals
        var amounts = order.lines.map { line in
            Amount(label: "\(line.quantity) × \(line.name)", amount: Money(line.unitPrice.amount * line.quantity, line.unitPrice.currency))
        }
        let discount = totals.discount
        if discount.amount != 0 { amounts.append(Amount(label: "Discount", amount: Money(-discount.amount, discount.currency))) }
        if totals.fees.amount != 0 { amounts.append(Amount(label: "Fees", amount: totals.fees)) }
        amounts.append(Amount(label: "Total", amount: totals.total, isTotal: true))
        if totals.tax.amount != 0 { amounts.append(Amount(label: "of which tax", amount: totals.tax)) }
        return amounts
    }
}
