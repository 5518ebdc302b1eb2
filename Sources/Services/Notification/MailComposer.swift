import Contracts
import Discovery
import Graphics
import Mail
import ServiceKit
import Values

/// Makes the words of a mail from what is true when it is sent, not from what was true when it was asked for.
struct MailComposer: Sendable {
    enum Composition: Sendable {
        case mail(MailMessage)
        case obsolete(String)
    }

    let sales: SalesManagerClient
    let tickets: TicketManagerClient
    let events: EventManagerClient
    let configuration: LiveSettings<NotificationConfiguration>

    private var from: MailAddress { configuration.from }
    private var publicURL: String { configuration.publicURL }

    /// Throws `Problem` while a peer cannot be asked.
    func compose(_ delivery: Delivery) async throws -> Composition {
        switch delivery.kind {
        case .verifyEmail:
            guard let token = delivery.details.token else { return .obsolete("the token is gone") }
            let name = delivery.details.name
            return .mail(message(delivery, name: name, MailDocument.verification(name: name ?? "", token: token, publicURL: publicURL)))
        case .orderConfirmation: return try await confirmation(delivery)
        case .orderEnded: return try await ending(delivery)
        case .refund: return try await refund(delivery)
        case .ticketTransfer: return try await transfer(delivery)
        }
    }

    /// Only while a ticket of the order is not void.
    private func confirmation(_ delivery: Delivery) async throws -> Composition {
        guard let id = delivery.orderId else { return .obsolete("it has no order") }
        let issued = try await tickets.tickets(of: id)
        guard !issued.isEmpty else { throw Problem.unavailable("The tickets of \(id) are not there yet.") }
        let living = issued.filter { $0.status != .void }
        guard !living.isEmpty else { return .obsolete("all tickets are void") }
        let (order, event) = try await facts(id)
        var attachments: [MailAttachment] = []
        let shown = living.enumerated().map { index, ticket in
            let image = picture(of: ticket, number: index + 1)
            if let image { attachments.append(image) }
            return MailDocument.ShownTicket(
                title: ticket.ticketTypeName, attendee: ticket.attendee.name, code: ticket.code, imageID: image?.contentID)
        }
        let document = MailDocument.confirmation(of: order, for: event, tickets: shown, link: link(to: order))
        return .mail(message(delivery, name: order.buyer.name, document, attachments))
    }

    private func ending(_ delivery: Delivery) async throws -> Composition {
        guard let id = delivery.orderId, let reason = delivery.details.reason else { return .obsolete("it has no order") }
        if reason == "canceled" {
            let issued = try await tickets.tickets(of: id)
            if issued.isEmpty { return .obsolete("it was never paid") }
        }
        let (order, event) = try await facts(id)
        return .mail(
            message(delivery, name: order.buyer.name, MailDocument.ending(of: order, for: event, reason: reason, link: link(to: order))))
    }

    private func refund(_ delivery: Delivery) async throws -> Composition {
        guard let id = delivery.orderId, let amount = delivery.details.amount else { return .obsolete("it has no order") }
        let (order, event) = try await facts(id)
        return .mail(
            message(delivery, name: order.buyer.name, MailDocument.refund(of: amount, from: order, for: event, link: link(to: order))))
    }

    /// Only while the ticket is still theirs.
    private func transfer(_ delivery: Delivery) async throws -> Composition {
        guard let ticket = delivery.details.ticket, let token = delivery.details.token else { return .obsolete("the ticket is gone") }
        let now = try await tickets.tickets(of: ticket.orderId).first { $0.id == ticket.id }
        guard let now, now.status != .void, now.codeVersion == ticket.codeVersion else {
            return .obsolete("the ticket is void, or was handed on")
        }
        let event = try await events.event(ticket.eventId)
        let image = picture(of: ticket, number: 1)
        let shown = MailDocument.ShownTicket(
            title: ticket.ticketTypeName, attendee: ticket.attendee.name, code: ticket.code, imageID: image?.contentID)
        let link = "\(publicURL)/api/v1/tickets/\(ticket.id)?token=\(token.percentEncoded())"
        let name = delivery.details.name ?? ""
        let document = MailDocument.transfer(to: name, of: shown, for: event, link: link)
        return .mail(message(delivery, name: name, document, image.map { [$0] } ?? []))
    }

    private func facts(_ id: OrderID) async throws -> (order: OrderFacts, event: Event) {
        let order = try await sales.order(id)
        return (order, try await events.event(order.eventId))
    }

    private func link(to order: OrderFacts) -> String {
        "\(publicURL)/api/v1/orders/\(order.id)?token=\(order.orderToken.percentEncoded())"
    }

    /// Nil for a ticket whose code its buyer no longer sees.
    private func picture(of ticket: Ticket, number: Int) -> MailAttachment? {
        guard let code = ticket.code, let picture = try? QRCode(code) else { return nil }
        return MailAttachment(
            fileName: "ticket-\(number).png", contentType: "image/png", contentID: "\(ticket.id)@\(domain)",
            data: picture.png(pixelsPerModule: 5), isInline: true)
    }

    private var domain: Substring { from.address.split(separator: "@").last ?? "localhost" }

    private func message(
        _ delivery: Delivery, name: String?, _ document: MailDocument, _ attachments: [MailAttachment] = []
    ) -> MailMessage {
        MailMessage(
            from: from, to: MailAddress(name: name?.oneLine, delivery.address), subject: document.subject.oneLine, text: document.text,
            html: document.html, attachments: attachments, messageID: "\(delivery.id)@\(domain)", date: delivery.createdAt,
            headers: [MailHeader("Auto-Submitted", "auto-generated")])
    }
}
