import Configuration
import Contracts
import Discovery
import EventManager
import Foundation
import HTTPTypes
import Messaging
import ServiceKit
import Storage
import Synchronization
import Testing
import Values

@Suite("EventManager")
struct EventManagerTests {
    typealias Harness = ServiceHarness<EventManagerService>

    // MARK: Organizers

    @Test func `whoever makes an organizer becomes its owner`() async throws {
        try await withEvents { service, peers in
            let user = UserID()
            let answer = try await service.call(
                .post, "/api/v1/organizers", as: .user(user), body: NewOrganizer(name: "Größe & Co. 🎉", email: "hi@example.org"))
            #expect(answer.status == 201)
            let organizer = try answer.json(Organizer.self)
            #expect(answer.headers[.location] == "/api/v1/organizers/\(organizer.id)")
            #expect(organizer.slug == "grosse-co")
            #expect(peers.role(of: user, in: organizer.id) == .owner)
            for name in ["\(organizer.id)", "grosse-co"] {
                #expect(try await service.call(.get, "/api/v1/organizers/\(name)").json(Organizer.self) == organizer)
            }
            #expect(try await service.call(.get, "/api/v1/organizers/\(OrganizerID())").status == 404)
            #expect(try await service.call(.get, "/api/v1/organizers/none").status == 404)
            let inside = try await service.call(.get, "/internal/v1/organizers/\(organizer.id)", as: .service(.notification))
            #expect(try inside.json(Organizer.self) == organizer)
        }
    }

    @Test func `a trace goes on to peers and into events`() async throws {
        try await withEvents { service, peers in
            let event = try await service.published(peers, try await service.organizer(peers).id)
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
            for (said, expected) in [(trace, trace as String?), ("00-\(trace)", nil), ("no trace", nil)] {
                let answer = try await service.call(
                    .patch, "/api/v1/events/\(event.id)", as: .user(peers.manager), headers: ["traceparent": said, "X-Request-Id": "r-1"],
                    json: #"{"name": "Traced by \#(said.count)"}"#)
                try #require(answer.status == 200)
                let last = try await service.text("SELECT json AS text FROM outbox ORDER BY id DESC LIMIT 1")
                #expect(try JSON.value(Envelope<EventChanged>.self, from: last).traceparent == expected)
                #expect(try JSON.value(Envelope<EventChanged>.self, from: last).correlationID == "r-1")
                try await service.call(
                    .post, "/api/v1/organizers", as: .user(peers.owner), headers: ["traceparent": said], body: NewOrganizer(name: "Traced"))
                #expect(peers.traces.last == expected)
            }
        }
    }

    @Test func `an owner who could not be told to Authentication is told later`() async throws {
        try await withEvents { service, peers in
            peers.fail(.authentication, true)
            let user = UserID()
            let answer = try await service.call(.post, "/api/v1/organizers", as: .user(user), body: NewOrganizer(name: "Late"))
            #expect(answer.status == 201)
            let id = try answer.json(Organizer.self).id
            #expect(peers.role(of: user, in: id) == nil)
            try await service.run("owners")
            #expect(peers.role(of: user, in: id) == nil)
            peers.fail(.authentication, false)
            try await service.run("owners")
            #expect(peers.role(of: user, in: id) == .owner)
            let count = peers.ownersTold
            try await service.run("owners")
            #expect(peers.ownersTold == count)
        }
    }

    @Test func `an owner is told after a crash in between`() async throws {
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (peers, user) = (EventPeers(), UserID())
        let id = try await withEvents(folder: folder, faults: "events.organizer-committed=fail:1", peers) { service, _ in
            try await service.call(.post, "/api/v1/organizers", as: .user(user), body: NewOrganizer(name: "Crash")).json(Organizer.self).id
        }
        #expect(peers.ownersTold == 0)
        try await withEvents(folder: folder, peers) { service, _ in try await service.run("owners") }
        #expect(peers.role(of: user, in: id) == .owner)
    }

    @Test func `an organizer that found another owner is left alone`() async throws {
        try await withEvents { service, peers in
            peers.refuseOwners(with: Problem.conflict("has-owner", "", ""))
            _ = try await service.call(.post, "/api/v1/organizers", as: .user(UserID()), body: NewOrganizer(name: "Taken"))
            #expect(peers.ownersTold == 1)
            try await service.run("owners")
            #expect(peers.ownersTold == 1)
        }
    }

    @Test func `a repeated request makes one organizer`() async throws {
        try await withEvents { service, _ in
            let user = UserID()
            let answers = try await service.all(of: 5) { _ in
                try await service.call(
                    .post, "/api/v1/organizers", as: .user(user), headers: ["Idempotency-Key": "k1"], body: NewOrganizer(name: "Once"))
            }
            let ids = try answers.filter { $0.status == 201 }.map { try $0.json(Organizer.self).id }
            #expect(Set(ids).count == 1)
            let other = try await service.call(
                .post, "/api/v1/organizers", as: .user(user), headers: ["Idempotency-Key": "k1"], body: NewOrganizer(name: "Other"))
            #expect(other.status == 422)
            #expect(try await service.call(.get, "/api/v1/organizers").json(Page<Organizer>.self).items.count == 1)
        }
    }

    @Test func `the organizers of one user are bounded`() async throws {
        try await withEvents(settings: ["organizers.per.user": 2]) { service, _ in
            let user = UserID()
            for status in [201, 201, 409] {
                let answer = try await service.call(.post, "/api/v1/organizers", as: .user(user), body: NewOrganizer(name: "Many"))
                #expect(answer.status == status)
            }
            let slugs = try await service.call(.get, "/api/v1/organizers").json(Page<Organizer>.self).items.map(\.slug)
            #expect(Set(slugs).count == 2 && slugs.allSatisfy { $0.hasPrefix("many") })
        }
    }

    @Test func `organizers are found by words and paged`() async throws {
        try await withEvents { service, _ in
            for name in ["Jazz Köln", "Rock Köln", "Jazz Bonn"] {
                _ = try await service.call(.post, "/api/v1/organizers", as: .user(UserID()), body: NewOrganizer(name: name))
            }
            func names(_ query: String) async throws -> [String] {
                try await service.call(.get, "/api/v1/organizers?\(query)").json(Page<Organizer>.self).items.map(\.name)
            }
            #expect(try await names("query=koln%20JAZZ") == ["Jazz Köln"])
            #expect(try await names("query=KÖLN") == ["Jazz Köln", "Rock Köln"])
            #expect(try await names("query=%25") == [])
            let first = try await service.call(.get, "/api/v1/organizers?limit=2").json(Page<Organizer>.self)
            #expect(first.items.count == 2)
            #expect(try await names("limit=2&after=\(first.next ?? "")") == ["Jazz Bonn"])
        }
    }

    @Test func `an organizer is changed by its owners`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let path = "/api/v1/organizers/\(organizer.id)"
            for (caller, status) in peers.callers(organizer.id, manager: 403) {
                let answer = try await service.call(.patch, path, as: caller, body: OrganizerChange(name: "Renamed"))
                #expect(answer.status == status)
            }
            let now = try await service.call(.get, path).json(Organizer.self)
            #expect(now.name == "Renamed" && now.slug == organizer.slug)
            let missing = try await service.call(
                .patch, "/api/v1/organizers/\(OrganizerID())", as: .user(peers.owner), body: OrganizerChange(name: "x"))
            #expect(missing.status == 404)
            for json in [#"{"name":""}"#, #"{"email":"x"}"#, #"{"name":"a\nb"}"#] {
                #expect(try await service.call(.patch, path, as: .user(peers.owner), json: json).status == 422)
            }
        }
    }

    // MARK: Venues

    @Test func `venues are made and changed by managers of their organizer`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let new = NewVenue(organizerId: organizer.id, name: "Gürzenich", street: "Martinstr. 29", city: "Köln", country: "DE")
            for (caller, status) in peers.callers(organizer.id, manager: 201) {
                #expect(try await service.call(.post, "/api/v1/venues", as: caller, body: new).status == (status == 200 ? 201 : status))
            }
            let venue = try await service.venue(peers, organizer.id)
            let path = "/api/v1/venues/\(venue.id)"
            for (caller, status) in peers.callers(organizer.id, manager: 200) {
                #expect(try await service.call(.patch, path, as: caller, body: VenueChange(city: "Bonn")).status == status)
            }
            #expect(try await service.call(.get, path).json(Venue.self).city == "Bonn")
            #expect(try await service.call(.get, "/api/v1/venues/\(VenueID())").status == 404)
            let nowhere = NewVenue(organizerId: OrganizerID(), name: "x", city: "x", country: "DE")
            #expect(try await service.call(.post, "/api/v1/venues", as: .user(UserID(), admin: true), body: nowhere).status == 404)
            for json in [#"{"country":"de"}"#, #"{"country":"DEU"}"#, #"{"city":" "}"#, #"{"name":5}"#] {
                #expect(try await service.call(.patch, path, as: .user(peers.manager), json: json).status == 422)
            }
            let list = try await service.call(.get, "/api/v1/venues?organizer=\(organizer.id)&query=bonn").json(Page<Venue>.self)
            #expect(list.items.map(\.id) == [venue.id])
        }
    }

    @Test func `public events change with their venue, and it is told`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let venue = try await service.venue(peers, organizer.id)
            let event = try await service.published(peers, organizer.id, venue: venue.id)
            let draft = try await service.event(peers, organizer.id, venue: venue.id)
            for _ in 0..<2 {
                _ = try await service.call(
                    .patch, "/api/v1/venues/\(venue.id)", as: .user(peers.manager), body: VenueChange(street: "Neue Str. 1"))
            }
            let now = try await service.call(.get, "/api/v1/events/\(event.id)").json(Event.self)
            #expect(now.venue?.street == "Neue Str. 1" && now.version == event.version + 1)
            let told = try await service.sent(EventChanged.self).map(\.event)
            #expect(told.map(\.version) == [event.version, event.version + 1])
            #expect(told.last == now)
            let same = try await service.call(.get, "/api/v1/events/\(draft.id)", as: .user(peers.manager)).json(Event.self)
            #expect(same.version == draft.version)
        }
    }

    // MARK: Making events

    @Test func `an event is made as a draft and keeps local time, zone and instant`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let venue = try await service.venue(peers, organizer.id)
            var new = service.newEvent(organizer.id)
            new.name = "Été à Köln"
            new.startsAt = "2027-05-01T19:30:00"
            new.endsAt = "2027-05-01T22:00:00Z"
            new.venueId = venue.id
            new.refundPolicy = RefundPolicy(until: Instant("2027-04-30T00:00:00Z")!, feesRefunded: true)
            let answer = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new)
            #expect(answer.status == 201)
            let event = try answer.json(Event.self)
            #expect(answer.headers[.location] == "/api/v1/events/\(event.id)")
            #expect(event.state == .draft && event.version == 1 && event.slug == "ete-a-koln")
            #expect(event.startsAt == Instant("2027-05-01T17:30:00Z") && event.localStartsAt == "2027-05-01T19:30:00")
            #expect(event.endsAt == Instant("2027-05-01T22:00:00Z") && event.localEndsAt == "2027-05-02T00:00:00")
            #expect(event.venue == venue && event.timeZone == "Europe/Berlin" && event.refundPolicy == new.refundPolicy)
            let read = try await service.call(.get, "/api/v1/events/\(event.id)", as: .user(peers.manager))
            #expect(try read.json(Event.self) == event)
            #expect(read.headers[.eTag] == "\"1\"")
            #expect(try await service.sent(EventChanged.self).isEmpty)
        }
    }

    @Test func `of a local time that clocks show twice the earlier is meant, and one that they skip is refused`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            var new = service.newEvent(organizer.id)
            new.startsAt = "2027-10-31T02:30:00"
            let answer = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new)
            #expect(try answer.json(Event.self).startsAt == Instant("2027-10-31T00:30:00Z"))
            new.startsAt = "2027-03-28T02:30:00"
            let skipped = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new)
            #expect(skipped.status == 422)
            #expect(try skipped.json(Problem.self).errors.map(\.field) == ["startsAt"])
        }
    }

    @Test(arguments: [
        (#""name":"""#, "name"), (#""name":"  ""#, "name"), (#""name":"a\r\nb""#, "name"), (#""name":"LONG""#, "name"),
        (#""name":null"#, "name"), (#""name":["x"]"#, "name"), (#""summary":"LONG""#, "summary"), (#""currency":"eur""#, "currency"),
        (#""currency":"XXX""#, "currency"), (#""timeZone":"Europe/Nowhere""#, "timeZone"), (#""timeZone":"CET""#, "timeZone"),
        (#""timeZone":"../../etc/passwd""#, "timeZone"), (#""timeZone":"LONG""#, "timeZone"), (#""startsAt":"tomorrow""#, "startsAt"),
        (#""startsAt":"2027-02-30T19:30:00""#, "startsAt"), (#""startsAt":"1999-01-01T19:30:00""#, "startsAt"),
        (#""startsAt":"2201-01-01T19:30:00Z""#, "startsAt"), (#""startsAt":1"#, "startsAt"),
        (#""endsAt":"2027-05-01T19:30:00""#, "endsAt"), (#""endsAt":"2027-04-01T19:30:00""#, "endsAt"), (#""endsAt":"x""#, "endsAt"),
        (#""onlineURL":"javascript:alert(1)""#, "onlineURL"), (#""onlineURL":"https://""#, "onlineURL"),
        (#""imageURL":"https://example.org/\"onload=x""#, "imageURL"), (#""imageURL":"//example.org/x.png""#, "imageURL"),
        (#""ageRestriction":-1"#, "ageRestriction"), (#""ageRestriction":100"#, "ageRestriction"),
        (#""ageRestriction":1e99"#, "ageRestriction"), (#""ageRestriction":1.5"#, "ageRestriction"),
        (#""venueId":"venue_x""#, "venueId"), (#""venueId":"venue_01h455vb4pex5vsknk084sn02q""#, "venueId"),
        (#""refundPolicy":{"until":"9999-01-01T00:00:00Z","feesRefunded":true}"#, "refundPolicy.until"),
    ])
    func `an event that cannot be is refused`(field: String, name: String) async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let rest = [
                "name": #""Concert""#, "startsAt": #""2027-05-01T19:30:00""#, "timeZone": #""Europe/Berlin""#, "currency": #""EUR""#,
            ].filter { !field.hasPrefix("\"\($0.key)\"") }.map { #""\#($0.key)":\#($0.value)"# }
            let json = "{\"organizerId\":\"\(organizer.id)\"," + (rest + [field]).joined(separator: ",") + "}"
            let answer = try await service.call(
                .post, "/api/v1/events", as: .user(peers.manager), json: json.replacing("LONG", with: String(repeating: "م", count: 10_000))
            )
            // A number that Swift's integers do not have is refused before its field is known.
            if field.hasSuffix("1e99") || field.hasSuffix("1.5") {
                #expect([400, 422].contains(answer.status))
            } else {
                #expect(answer.status == 422)
                #expect(try answer.json(Problem.self).errors.map(\.field) == [name])
            }
            #expect(try await service.count("event") == 0)
        }
    }

    @Test func `names in any script are kept as they are`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            for name in ["👩‍💻🎉", "مرحبا بالعالم", "東京ライブ", "O'Brien <b>&amp;</b> %_\\", String(repeating: "é", count: 200)] {
                let event = try await service.event(peers, organizer.id, name: name)
                #expect(event.name == name)
                #expect(
                    event.slug.utf8.count <= 100
                        && event.slug.utf8.allSatisfy { $0 == 45 || (48...57).contains($0) || (97...122).contains($0) })
                let found = try await service.call(.get, "/api/v1/events/\(event.slug)", as: .user(peers.manager))
                #expect(try found.json(Event.self).id == event.id)
            }
        }
    }

    @Test func `many events of one name at once each have their own slug`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let answers = try await service.all(of: 20) { _ in
                try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: service.newEvent(organizer.id))
            }
            let slugs = try Set(answers.map { try $0.json(Event.self).slug })
            #expect(slugs.count == 20)
            #expect(slugs.isSuperset(of: ["concert", "concert-2027-05-01"]))
        }
    }

    @Test func `an event is only at a venue of its own organizer`() async throws {
        try await withEvents { service, peers in
            let (mine, other) = (try await service.organizer(peers), try await service.organizer(peers))
            let venue = try await service.venue(peers, other.id)
            var new = service.newEvent(mine.id)
            new.venueId = venue.id
            #expect(try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new).status == 422)
            let event = try await service.event(peers, mine.id)
            let moved = try await service.call(
                .patch, "/api/v1/events/\(event.id)", as: .user(peers.manager), body: EventChange(venueId: venue.id))
            #expect(moved.status == 422)
        }
    }

    // MARK: Who sees and does what

    @Test func `every change of an event is for managers of its organizer`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let path = "/api/v1/events/\(event.id)"
            for (caller, status) in peers.callers(organizer.id, manager: 200) where status != 200 {
                #expect(try await service.call(.post, "/api/v1/events", as: caller, body: service.newEvent(organizer.id)).status == status)
                #expect(try await service.call(.patch, path, as: caller, body: EventChange(name: "x")).status == status)
                #expect(try await service.call(.delete, path, as: caller).status == status)
                for action in ["publish", "postpone", "cancel"] {
                    #expect(try await service.call(.post, "\(path)/\(action)", as: caller).status == status)
                }
            }
            #expect(try await service.call(.get, path, as: .user(peers.manager)).json(Event.self) == event)
            // What does not exist is the same as what is somebody else's.
            let stranger = try await service.call(.patch, path, as: .user(UserID()), body: EventChange(name: "x"))
            let missing = try await service.call(.patch, "/api/v1/events/\(EventID())", as: .user(UserID()), body: EventChange(name: "x"))
            #expect(try stranger.json(Problem.self).detail == missing.json(Problem.self).detail)
            let nowhere = service.newEvent(OrganizerID())
            #expect(try await service.call(.post, "/api/v1/events", as: .user(UserID(), admin: true), body: nowhere).status == 404)
        }
    }

    @Test func `a draft is there for the organizer's staff alone`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let expected: [(TestCaller, Int)] = [
                (.nobody, 404), (.user(UserID()), 404), (.service(.salesManager), 404), (.user(peers.door), 200),
                (.user(peers.analyst), 200), (.user(peers.manager), 200), (.user(UserID(), admin: true), 200),
            ]
            for name in ["\(event.id)", event.slug] {
                for (caller, status) in expected {
                    #expect(try await service.call(.get, "/api/v1/events/\(name)", as: caller).status == status)
                }
            }
            #expect(try await service.call(.get, "/api/v1/events").json(Page<Event>.self).items.isEmpty)
            // Services need it in any state.
            let inside = "/internal/v1/events/\(event.id)"
            #expect(try await service.call(.get, inside, as: .service(.salesManager)).json(Event.self) == event)
            #expect(try await service.call(.get, inside, as: .service(.couponManager)).status == 403)
            #expect(try await service.call(.get, inside, as: .user(peers.owner, admin: true)).status == 403)
            #expect(try await service.call(.get, inside).status == 401)
            #expect(try await service.call(.get, "/internal/v1/events/\(EventID())", as: .service(.salesManager)).status == 404)
            let organizerInside = "/internal/v1/organizers/\(organizer.id)"
            #expect(try await service.call(.get, organizerInside, as: .user(peers.owner)).status == 403)
            #expect(try await service.call(.get, organizerInside).status == 401)
        }
    }

    @Test func `staff list their organizer's events in every state`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            _ = try await service.event(peers, organizer.id, name: "Draft")
            _ = try await service.published(peers, organizer.id, name: "Public")
            let path = "/api/v1/events?organizer=\(organizer.id)"
            func names(_ query: String, _ caller: TestCaller) async throws -> [String] {
                try await service.call(.get, path + query, as: caller).json(Page<Event>.self).items.map(\.name)
            }
            #expect(try await names("", .user(peers.door)) == ["Public"])
            #expect(try await names("&state=draft", .user(peers.door)) == ["Draft"])
            #expect(try await Set(names("&state=all", .user(peers.manager))) == ["Draft", "Public"])
            #expect(try await service.call(.get, path + "&state=draft").status == 401)
            #expect(try await service.call(.get, path + "&state=draft", as: .user(UserID())).status == 404)
            #expect(try await service.call(.get, "/api/v1/events?state=draft", as: .user(peers.manager)).status == 422)
            #expect(try await service.call(.get, path + "&state=x", as: .user(peers.manager)).status == 422)
        }
    }

    // MARK: Changing events

    @Test func `only what is given changes, and only then the version`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let path = "/api/v1/events/\(event.id)"
            let changed = try await service.call(.patch, path, as: .user(peers.manager), body: EventChange(summary: "New"))
            var expected = event
            expected.summary = "New"
            expected.version = 2
            #expect(try changed.json(Event.self) == expected)
            #expect(changed.headers[.eTag] == "\"2\"")
            let again = try await service.call(.patch, path, as: .user(peers.manager), body: EventChange(summary: "New"))
            #expect(try again.json(Event.self).version == 2)
            #expect(try await service.call(.patch, path, as: .user(peers.manager), json: "{}").json(Event.self) == expected)
            for json in ["", "[]", #"{"name":""}"#, #"{"endsAt":"2020-01-01T00:00:00Z"}"#, #"{"ageRestriction":"x"}"#] {
                #expect([400, 422].contains(try await service.call(.patch, path, as: .user(peers.manager), json: json).status))
            }
            #expect(try await service.call(.get, path, as: .user(peers.manager)).json(Event.self) == expected)
        }
    }

    @Test func `a new zone keeps the local times, new times are read in the zone`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            var new = service.newEvent(organizer.id)
            new.endsAt = "2027-05-01T23:00:00"
            let event = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new).json(Event.self)
            func change(_ change: EventChange) async throws -> Event {
                try await service.call(.patch, "/api/v1/events/\(event.id)", as: .user(peers.manager), body: change).json(Event.self)
            }
            let moved = try await change(EventChange(timeZone: "America/New_York"))
            #expect(moved.localStartsAt == "2027-05-01T19:30:00" && moved.startsAt == Instant("2027-05-01T23:30:00Z"))
            #expect(moved.localEndsAt == "2027-05-01T23:00:00" && moved.endsAt == Instant("2027-05-02T03:00:00Z"))
            let later = try await change(EventChange(startsAt: "2027-05-01T20:00:00"))
            #expect(later.startsAt == Instant("2027-05-02T00:00:00Z") && later.endsAt == moved.endsAt)
            let refused = try await service.call(
                .patch, "/api/v1/events/\(event.id)", as: .user(peers.manager), body: EventChange(startsAt: "2027-05-03T20:00:00"))
            #expect(try refused.json(Problem.self).errors.map(\.field) == ["endsAt"])
        }
    }

    @Test func `a change on another state than the present is refused`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let path = "/api/v1/events/\(event.id)"
            func patch(_ ifMatch: String) async throws -> Harness.Answer {
                try await service.call(
                    .patch, path, as: .user(peers.manager), headers: ["If-Match": ifMatch], body: EventChange(summary: ifMatch))
            }
            for wrong in ["\"2\"", "1", "W/\"1\"", "x", "\"99999999999999999999\""] {
                let answer = try await patch(wrong)
                #expect(answer.status == 412)
                #expect(answer.problem == "precondition-failed")
            }
            for action in ["publish", "postpone", "cancel"] {
                let answer = try await service.call(
                    .post, "\(path)/\(action)", as: .user(peers.manager), headers: ["If-Match": "\"7\""])
                #expect(answer.status == 412)
            }
            #expect(try await service.call(.delete, path, as: .user(peers.manager), headers: ["If-Match": "\"7\""]).status == 412)
            #expect(try await patch("\"1\"").status == 200)
            #expect(try await patch("\"1\"").status == 412)
            #expect(try await patch("\"9\", \"2\"").status == 200)
            #expect(try await patch("*").status == 200)
        }
    }

    @Test func `of many changes on one state one is made`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let statuses = try await service.statuses(of: 20) { number in
                try await service.call(
                    .patch, "/api/v1/events/\(event.id)", as: .user(peers.manager), headers: ["If-Match": "\"1\""],
                    body: EventChange(summary: "\(number)"))
            }
            #expect(statuses == [200: 1, 412: 19])
        }
    }

    @Test func `only drafts are removed`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let draft = try await service.event(peers, organizer.id)
            #expect(try await service.call(.delete, "/api/v1/events/\(draft.id)", as: .user(peers.manager)).status == 204)
            #expect(try await service.call(.delete, "/api/v1/events/\(draft.id)", as: .user(peers.manager)).status == 404)
            let event = try await service.published(peers, organizer.id)
            let refused = try await service.call(.delete, "/api/v1/events/\(event.id)", as: .user(peers.manager))
            #expect(refused.problem == "event-not-draft")
            #expect(try await service.history(draft.id) == ["nil -> draft", "draft -> deleted"])
        }
    }

    // MARK: States

    /// All states, all actions: what is answered, and what the state is then.
    @Test func `an event becomes only what it may become`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let states: [(EventState, [String])] = [
                (.draft, []), (.published, ["publish"]), (.postponed, ["publish", "postpone"]), (.canceled, ["publish", "cancel"]),
            ]
            let allowed: [EventState: [String: EventState]] = [
                .draft: ["publish": .published], .published: ["postpone": .postponed, "cancel": .canceled],
                .postponed: ["publish": .published, "cancel": .canceled], .canceled: ["cancel": .canceled], .completed: [:],
            ]
            for (state, way) in states {
                for action in ["publish", "postpone", "cancel"] {
                    let event = try await service.event(peers, organizer.id)
                    for step in way { _ = try await service.act(step, event.id, peers) }
                    let answer = try await service.act(action, event.id, peers)
                    let expected = allowed[state]?[action]
                    #expect(answer.status == (expected == nil ? 409 : 200), "\(action) of a \(state) event")
                    if expected == nil { #expect(answer.problem == "illegal-transition") }
                    let now = try await service.call(.get, "/api/v1/events/\(event.id)", as: .user(peers.manager)).json(Event.self)
                    #expect(now.state == expected ?? state)
                }
            }
        }
    }

    @Test func `an event that is over is not published`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            var new = service.newEvent(organizer.id)
            new.startsAt = "2020-05-01T19:30:00"
            let event = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new).json(Event.self)
            #expect(try await service.act("publish", event.id, peers).problem == "event-over")
        }
    }

    @Test func `what is public is told, with growing versions`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.event(peers, organizer.id)
            let path = "/api/v1/events/\(event.id)"
            _ = try await service.call(.patch, path, as: .user(peers.manager), body: EventChange(summary: "as a draft"))
            #expect(try await service.versions(EventChanged.name) == [])
            _ = try await service.act("publish", event.id, peers)
            _ = try await service.call(.patch, path, as: .user(peers.manager), body: EventChange(summary: "published"))
            let postponed = try await service.call(
                .post, path + "/postpone", as: .user(peers.manager), body: PostponeEvent(startsAt: "2027-06-01T19:30:00"))
            #expect(try postponed.json(Event.self).startsAt == Instant("2027-06-01T17:30:00Z"))
            _ = try await service.act("publish", event.id, peers)
            _ = try await service.call(.post, path + "/cancel", as: .user(peers.manager), body: CancelEvent(refund: true, reason: "Rain"))
            #expect(try await service.versions(EventChanged.name) == [3, 4, 5, 6])
            #expect(try await service.versions(EventCanceled.name) == [7])
            let told = try #require(try await service.sent(EventCanceled.self).first)
            #expect(told.eventId == event.id && told.refund && told.reason == "Rain")
            let last = try #require(try await service.sent(EventChanged.self).last)
            #expect(last.event.state == .published)
            let history = [
                "nil -> draft", "draft -> published", "published -> postponed", "postponed -> published", "published -> canceled: Rain",
            ]
            #expect(try await service.history(event.id) == history)
            #expect(try await service.text("SELECT actor AS text FROM event_history ORDER BY id DESC LIMIT 1") == "\(peers.manager)")
        }
    }

    @Test func `a canceled event stays as it is`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            _ = try await service.act("cancel", event.id, peers)
            let path = "/api/v1/events/\(event.id)"
            #expect(try await service.call(.patch, path, as: .user(peers.manager), body: EventChange(name: "x")).problem == "event-ended")
            // People with a link still learn what became of it; in lists it is not.
            #expect(try await service.call(.get, path).json(Event.self).state == .canceled)
            #expect(try await service.call(.get, "/api/v1/events").json(Page<Event>.self).items.isEmpty)
        }
    }

    @Test func `events that are over are completed`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let (past, future) = (try await service.published(peers, organizer.id), try await service.published(peers, organizer.id))
            let postponed = try await service.published(peers, organizer.id)
            _ = try await service.act("postpone", postponed.id, peers)
            try await service.database.write { tx in
                _ = try tx.execute("UPDATE event SET starts_at = 1, over_at = 2 WHERE id IN (\(past.id), \(postponed.id))")
            }
            try await service.run("completions")
            try await service.run("completions")
            func state(_ id: EventID) async throws -> EventState {
                try await service.call(.get, "/api/v1/events/\(id)").json(Event.self).state
            }
            #expect(try await state(past.id) == .completed)
            #expect(try await state(future.id) == .published)
            #expect(try await state(postponed.id) == .postponed)
            #expect(try await service.history(past.id).last == "published -> completed")
            #expect(try await service.act("cancel", past.id, peers).problem == "illegal-transition")
            #expect(try await service.call(.get, "/api/v1/events").json(Page<Event>.self).items.count == 2)
        }
    }

    // MARK: Canceling

    @Test func `canceling closes the pools first, then tells Sales whether to refund`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            let answer = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager), body: CancelEvent(refund: true, reason: "Rain"))
            #expect(try answer.json(Event.self).state == .canceled)
            #expect(peers.steps == ["close \(event.id)", "cancel \(event.id) refund"])
            try await service.run("cancellations")
            #expect(peers.steps.count == 2)
            // The repeated request changes nothing and tells nobody.
            let again = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager), body: CancelEvent(refund: true))
            #expect(try again.json(Event.self) == answer.json(Event.self))
            #expect(peers.steps.count == 2)
            #expect(try await service.sent(EventCanceled.self).count == 1)
        }
    }

    @Test(arguments: [ServiceName.ticketManager, .salesManager])
    func `an event is canceled while a peer is down, and the rest is done once it is back`(peer: ServiceName) async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            peers.fail(peer, true)
            let answer = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager), body: CancelEvent(refund: true))
            #expect(answer.status == 200)
            #expect(try answer.json(Event.self).state == .canceled)
            try await service.run("cancellations")
            #expect(!peers.steps.contains("cancel \(event.id) refund"))
            peers.fail(peer, false)
            try await service.run("cancellations")
            try await service.run("cancellations")
            #expect(peers.steps == ["close \(event.id)", "cancel \(event.id) refund"])
        }
    }

    @Test(arguments: ["events.cancellation-committed", "events.pools-closed"])
    func `a cancellation goes on after a crash at any point`(point: String) async throws {
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let peers = EventPeers()
        let id = try await withEvents(folder: folder, faults: "\(point)=fail:1", peers) { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            _ = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager), body: CancelEvent(refund: true))
            return event.id
        }
        #expect(!peers.steps.contains("cancel \(id) refund"))
        try await withEvents(folder: folder, peers) { service, _ in try await service.run("cancellations") }
        #expect(peers.steps == ["close \(id)", "cancel \(id) refund"])
    }

    @Test func `one cancellation that fails does not hold up the others`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let (first, second) = (try await service.published(peers, organizer.id), try await service.published(peers, organizer.id))
            peers.fail(.salesManager, true)
            for event in [first, second] { _ = try await service.act("cancel", event.id, peers) }
            peers.fail(.salesManager, false)
            peers.fail(event: first.id)
            try await service.run("cancellations")
            #expect(peers.steps.last == "cancel \(second.id)")
        }
    }

    @Test func `refunds may be asked for after an event was canceled without`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            _ = try await service.act("cancel", event.id, peers)
            let refunded = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager), body: CancelEvent(refund: true))
            #expect(try refunded.json(Event.self).version == event.version + 2)
            #expect(peers.steps == ["close \(event.id)", "cancel \(event.id)", "cancel \(event.id) refund"])
            #expect(try await service.sent(EventCanceled.self).map(\.refund) == [false, true])
            // What was refunded once is not taken back.
            _ = try await service.act("cancel", event.id, peers)
            #expect(peers.steps.count == 3)
        }
    }

    @Test(arguments: [#"{"refund":"yes"}"#, #"{"reason":5}"#, #"{"reason":"LONG"}"#])
    func `a cancellation that cannot be understood does nothing`(json: String) async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let event = try await service.published(peers, organizer.id)
            let answer = try await service.call(
                .post, "/api/v1/events/\(event.id)/cancel", as: .user(peers.manager),
                json: json.replacing("LONG", with: String(repeating: "x", count: 10_000)))
            #expect(answer.status == 422)
            #expect(try await service.call(.get, "/api/v1/events/\(event.id)").json(Event.self).state == .published)
            #expect(peers.steps.isEmpty)
        }
    }

    // MARK: Finding events

    @Test func `events are found by words, place and time`() async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            let cologne = try await service.venue(peers, organizer.id)
            for (name, start, venue, summary) in [
                ("Jazznacht", "2027-05-01T19:30:00", cologne.id, "Mit Ökopunk"), ("100% Rock", "2027-06-01T19:30:00", nil, "laut"),
                ("1000 Rock", "2027-07-01T19:30:00", nil, "a_b"), ("Ночь МУЗЫКИ", "2027-08-01T19:30:00", nil, nil),
            ] as [(String, String, VenueID?, String?)] {
                var new = service.newEvent(organizer.id)
                (new.name, new.startsAt, new.venueId, new.summary) = (name, start, venue, summary)
                let event = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new).json(Event.self)
                _ = try await service.act("publish", event.id, peers)
            }
            func names(_ query: String) async throws -> [String] {
                try await service.call(.get, "/api/v1/events?\(query)").json(Page<Event>.self).items.map(\.name)
            }
            #expect(try await names("query=JAZZ") == ["Jazznacht"])
            #expect(try await names("query=%C3%B6KO") == ["Jazznacht"])
            #expect(try await names("query=oko") == ["Jazznacht"])
            #expect(try await names("query=gurzenich") == ["Jazznacht"])
            #expect(try await names("query=jazz+gürzenich".replacing("ü", with: "%C3%BC")) == ["Jazznacht"])
            #expect(try await names("query=jazz+rock") == [])
            #expect(try await names("query=" + "музыки".percentEncoded()) == ["Ночь МУЗЫКИ"])
            #expect(try await names("query=100%25") == ["100% Rock"])
            #expect(try await names("query=a_b") == ["1000 Rock"])
            #expect(try await names("query=a%25b") == [])
            #expect(try await names("query=!") == [])
            #expect(try await names("query=' OR 1=1 --".replacing(" ", with: "%20")) == [])
            #expect(try await names("query=").count == 4)
            #expect(try await names("city=" + "KÖLN".percentEncoded()) == ["Jazznacht"])
            #expect(try await names("city=koln&country=DE") == ["Jazznacht"])
            #expect(try await names("country=AT") == [])
            #expect(try await names("from=2027-06-01T17:30:00Z&to=2027-07-01T17:30:00Z") == ["100% Rock"])
            #expect(try await names("from=2027-06-01T17:30:00Z&sort=-startsAt") == ["Ночь МУЗЫКИ", "1000 Rock", "100% Rock"])
            #expect(try await names("sort=createdAt&limit=1") == ["Jazznacht"])
            #expect(try await names("sort=-createdAt&limit=1") == ["Ночь МУЗЫКИ"])
            #expect(try await names("organizer=\(organizer.id)").count == 4)
            #expect(try await names("organizer=\(OrganizerID())") == [])
        }
    }

    @Test(arguments: ["startsAt", "-startsAt", "createdAt", "-createdAt"])
    func `pages join without gaps or repetitions, also where times are equal`(sort: String) async throws {
        try await withEvents { service, peers in
            let organizer = try await service.organizer(peers)
            for number in 0..<7 {
                var new = service.newEvent(organizer.id)
                new.startsAt = number < 5 ? "2027-05-01T19:30:00" : "2027-05-02T19:30:00"
                let event = try await service.call(.post, "/api/v1/events", as: .user(peers.manager), body: new).json(Event.self)
                _ = try await service.act("publish", event.id, peers)
            }
            let all = try await service.call(.get, "/api/v1/events?sort=\(sort)").json(Page<Event>.self)
            #expect(all.items.count == 7 && all.next == nil)
            var ids: [EventID] = []
            var next: String? = ""
            while let cursor = next {
                let after = cursor.isEmpty ? "" : "&after=\(cursor)"
                let page = try await service.call(.get, "/api/v1/events?sort=\(sort)&limit=2\(after)").json(Page<Event>.self)
                ids += page.items.map(\.id)
                next = page.next
                try #require(ids.count <= 7)
            }
            #expect(ids == all.items.map(\.id))
        }
    }

    @Test(arguments: [
        "limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999999999999", "sort=price", "from=tomorrow",
        "to=2027-02-30T00:00:00Z",
        "organizer=x", "country=Germany", "country=de", "after=x", "after=1.event_x",
        "after=99999999999999999999.event_01h455vb4pex5vsknk084sn02q",
        "query=a+b+c+d+e+f+g+h+i+j+k", "query=LONG", "city=LONG",
    ])
    func `a list that cannot be is refused`(query: String) async throws {
        try await withEvents { service, _ in
            let long = String(repeating: "x", count: 10_000)
            let answer = try await service.call(.get, "/api/v1/events?" + query.replacing("LONG", with: long))
            #expect(answer.status == 422)
        }
    }

    @Test func `lists of public events are read from their index`() async throws {
        try await withEvents { service, _ in
            for (order, index) in [("starts_at", "event_listed_by_start"), ("created_at", "event_listed_by_creation")] {
                let plan = try await service.plan(
                    """
                    SELECT e.id FROM event e LEFT JOIN venue v ON v.id = e.venue_id WHERE e.is_listed = TRUE
                    AND (e.\(SQL(stringLiteral: order)), e.id) > (\(5), \("x")) ORDER BY e.\(SQL(stringLiteral: order)), e.id LIMIT 50
                    """)
                #expect(plan.text.contains(index) && !plan.sorts, "\(plan.text)")
            }
        }
    }

    @Test func `every route has an answer`() async throws {
        try await withEvents { service, _ in
            let answered = Set(service.service.endpoints.map { "\($0.route.method) \($0.route.path)" })
            #expect(answered == Set(EventManagerRoutes.all.map { "\($0.method) \($0.path)" }))
            _ = try await service.call(.get, "/api/v1/events")
        }
    }
}

/// The service, with peers that the test plays.
private func withEvents<Result>(
    settings: [AbsoluteConfigKey: ConfigValue] = [:], folder: String? = nil, faults: String = "", _ peers: EventPeers = EventPeers(),
    _ body: (ServiceHarness<EventManagerService>, EventPeers) async throws -> Result
) async throws -> Result {
    try await withService(
        EventManagerService.self, settings: settings, folder: folder, faults: faults, peers: { peers.enter($0) }
    ) { service in try await body(service, peers) }
}

/// Authentication, TicketManager and SalesManager, as far as EventManager asks anything of them.
private final class EventPeers: Sendable {
    private struct State {
        var roles: [OrganizerID: [UserID: Role]] = [:]
        var ownersTold = 0
        var ownerProblem: Problem?
        var failing: Set<ServiceName> = []
        var failingEvent: EventID?
        var steps: [String] = []
        var traces: [String?] = []
    }

    let owner = UserID()
    let manager = UserID()
    let door = UserID()
    let analyst = UserID()
    private let state = Mutex(State())

    var steps: [String] { state.withLock { $0.steps } }
    /// Of the requests that came here, which traces they belong to.
    var traces: [String?] { state.withLock { $0.traces } }
    var ownersTold: Int { state.withLock { $0.ownersTold } }

    func role(of user: UserID, in organizer: OrganizerID) -> Role? { state.withLock { $0.roles[organizer]?[user] } }
    func give(_ role: Role, to user: UserID, in organizer: OrganizerID) {
        state.withLock { $0.roles[organizer, default: [:]][user] = role }
    }
    func fail(_ service: ServiceName, _ isFailing: Bool) {
        state.withLock { if isFailing { $0.failing.insert(service) } else { $0.failing.remove(service) } }
    }
    func fail(event: EventID) { state.withLock { $0.failingEvent = event } }
    func refuseOwners(with problem: Problem) { state.withLock { $0.ownerProblem = problem } }

    /// Everybody who might ask, and what they are answered where it needs a manager.
    /// - Parameter manager: what a manager is answered; an owner and an administrator always succeed.
    func callers(_ organizer: OrganizerID, manager expected: Int) -> [(TestCaller, Int)] {
        [
            (.nobody, 401), (.service(.salesManager), 401), (.user(UserID()), 404), (.user(door), 403), (.user(analyst), 403),
            (.user(manager), expected), (.user(owner), 200), (.user(UserID(), admin: true), 200),
        ]
    }

    func enter(_ transport: InProcessTransport) {
        transport.enter(.authentication) { [self] request in try answer(.authentication, request, authentication) }
        transport.enter(.ticketManager) { [self] request in
            try answer(.ticketManager, request) { parts, _ in
                state.withLock { $0.steps.append("close \(parts[3])") }
                return PeerResponse(status: 204, headers: [:], body: [])
            }
        }
        transport.enter(.salesManager) { [self] request in
            try answer(.salesManager, request) { parts, body in
                let refund = try JSON.value(EventCancellation.self, from: body).refund
                if state.withLock({ $0.failingEvent })?.description == parts[3] { throw Problem.unavailable("This one fails.") }
                state.withLock { $0.steps.append("cancel \(parts[3])" + (refund ? " refund" : "")) }
                return PeerResponse(status: 204, headers: [:], body: [])
            }
        }
    }

    private func answer(
        _ service: ServiceName, _ request: PeerRequest, _ body: ([String], [UInt8]) throws -> PeerResponse
    ) throws -> PeerResponse {
        state.withLock { $0.traces.append(request.headers[.traceparent]) }
        do {
            if state.withLock({ $0.failing.contains(service) }) { throw Problem.unavailable("It is down.") }
            return try body(request.target.split(separator: "/").map(String.init), request.body)
        } catch let problem as Problem {
            return PeerResponse(status: problem.status, headers: [:], body: try JSON.bytes(of: problem))
        }
    }

    private func authentication(_ parts: [String], _ body: [UInt8]) throws -> PeerResponse {
        let organizer = try #require(OrganizerID(parts[3]))
        if parts[4] == "owner" {
            let user = try JSON.value(NewOwner.self, from: body).userId
            try state.withLock { state in
                state.ownersTold += 1
                if let problem = state.ownerProblem { throw problem }
                state.roles[organizer, default: [:]][user] = .owner
            }
            return PeerResponse(status: 204, headers: [:], body: [])
        }
        guard let user = UserID(parts[5]), let role = role(of: user, in: organizer) else { throw Problem.notFound("member") }
        return PeerResponse(status: 200, headers: [:], body: try JSON.bytes(of: Membership(organizerId: organizer, role: role)))
    }
}

extension ServiceHarness<EventManagerService> {
    /// An organizer with one member of each role.
    fileprivate func organizer(_ peers: EventPeers) async throws -> Organizer {
        let organizer = try await call(
            .post, "/api/v1/organizers", as: .user(peers.owner), body: NewOrganizer(name: "Konzertbüro")
        ).json(Organizer.self)
        peers.give(.manager, to: peers.manager, in: organizer.id)
        peers.give(.door, to: peers.door, in: organizer.id)
        peers.give(.analyst, to: peers.analyst, in: organizer.id)
        return organizer
    }

    fileprivate func venue(_ peers: EventPeers, _ organizer: OrganizerID) async throws -> Venue {
        let new = NewVenue(organizerId: organizer, name: "Gürzenich", street: "Martinstr. 29", city: "Köln", country: "DE")
        return try await call(.post, "/api/v1/venues", as: .user(peers.manager), body: new).json()
    }

    func newEvent(_ organizer: OrganizerID, name: String = "Concert") -> NewEvent {
        NewEvent(
            organizerId: organizer, name: name, startsAt: "2027-05-01T19:30:00", timeZone: "Europe/Berlin", currency: .eur)
    }

    fileprivate func event(
        _ peers: EventPeers, _ organizer: OrganizerID, name: String = "Concert", venue: VenueID? = nil
    ) async throws -> Event {
        var new = newEvent(organizer, name: name)
        new.venueId = venue
        return try await call(.post, "/api/v1/events", as: .user(peers.manager), body: new).json()
    }

    fileprivate func published(
        _ peers: EventPeers, _ organizer: OrganizerID, name: String = "Concert", venue: VenueID? = nil
    ) async throws -> Event {
        try await act("publish", try await event(peers, organizer, name: name, venue: venue).id, peers).json()
    }

    fileprivate func act(_ action: String, _ id: EventID, _ peers: EventPeers) async throws -> Answer {
        try await call(.post, "/api/v1/events/\(id)/\(action)", as: .user(peers.manager))
    }

    func history(_ id: EventID) async throws -> [String] {
        try await database.read { tx in
            try tx.rows("SELECT from_state, to_state, reason FROM event_history WHERE event_id = \(id) ORDER BY id").map { row in
                let (from, to, reason): (String?, String, String?) = (try row["from_state"], try row["to_state"], try row["reason"])
                return "\(from ?? "nil") -> \(to)" + (reason.map { ": \($0)" } ?? "")
            }
        }
    }

    /// The aggregate's versions that events in the outbox carry.
    func versions(_ name: String) async throws -> [Int64] {
        try await database.read { tx in
            try tx.rows("SELECT json FROM outbox WHERE name = \(name) ORDER BY id").map { row in
                try JSON.value(AnyEnvelope.self, from: try row["json"] as String).aggregateVersion
            }
        }
    }

    func count(_ table: String) async throws -> Int {
        try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM \(SQL(stringLiteral: table))")?["n"] ?? 0 }
    }

    func text(_ sql: SQL) async throws -> String {
        try await database.read { tx in try tx.row(sql)?["text"] ?? "" }
    }

    func all(of count: Int, _ request: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            for number in 0..<count { group.addTask { try await request(number) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    func statuses(of count: Int, _ request: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Int: Int] {
        try await all(of: count, request).reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
    }
}

private struct AnyEnvelope: Decodable {
    let aggregateVersion: Int64
}
