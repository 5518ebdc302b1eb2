import BorderGateway
import Testing

@Suite struct ClientAddressTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "255.1.2.3", true),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false), ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
        ("::1", "::1", true), ("::/0", "2001::1", true), ("10.0.0.0/8", "::ffff:10.0.0.1", true), ("192.168.4.0/22", "192.168.7.255", true),
        ("192.168.4.0/22", "192.168.8.0", false),
    ])
    func `a network contains its addresses`(_ network: String, _ address: String, _ contains: Bool) throws {
        #expect(try #require(Network(network)).contains(#require(IPAddress(address))) == contains)
    }

    @Test(arguments: ["", "a", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/8/8", "10.0.0.0/8a"])
    func `what is no network is none`(_ text: String) {
        #expect(Network(text) == nil)
    }

    @Test(arguments: [
        // Nobody is believed but a neighbour who is trusted.
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"), ("10.0.0.1", [], "10.0.0.1"), ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        // From the right; what stands before the first stranger anybody may have written.
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"), ("10.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        // What cannot be read ends the chain.
        ("10.0.0.1", ["1.2.3.4, unknown"], "10.0.0.1"), ("10.0.0.1", ["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4,"], "10.0.0.1"), ("10.0.0.1", ["1.2.3.4:99999"], "10.0.0.1"), ("10.0.0.1", ["1.2.3.4'--"], "10.0.0.1"),
        // With ports.
        ("10.0.0.1", ["1.2.3.4:567"], "1.2.3.4"), ("10.0.0.1", ["[2001:db8::7]:567"], "2001:db8:0:0:0:0:0:7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8:0:0:0:0:0:7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8:0:0:0:0:0:7"), ("10.0.0.1", ["[2001:db8::7]x"], "10.0.0.1"),
    ])
    func `whoever a trusted neighbour speaks for is the client`(_ peer: String, _ fields: [String], _ client: String) throws {
        let addresses = ClientAddress(trusted: [try #require(Network("10.0.0.0/8"))])
        #expect(addresses.find(peer: try #require(IPAddress(peer)), forwardedFor: fields).description == client)
    }

    @Test func `nothing that is written there makes a stranger of the neighbour's choice`() throws {
        var random = SeededNumbers(seed: 3)
        let addresses = ClientAddress(trusted: [try #require(Network("10.0.0.0/8"))])
        let stranger = try #require(IPAddress("203.0.113.9"))
        let pieces = ["1.2.3.4", ",", " ", "10.0.0.5", "[", "]", ":", "::1", "%", "\t", "x", "0x7f", "1.2.3", "-", "\u{e4}", "99999"]
        for _ in 0..<Cases.count(10_000) {
            let text = (0..<Int.random(in: 0...10, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            #expect(addresses.find(peer: stranger, forwardedFor: [text]) == stranger)
            // The one entry that the trusted neighbour itself has added counts.
            let found = addresses.find(peer: try #require(IPAddress("10.0.0.1")), forwardedFor: [text, "198.51.100.7"])
            #expect(found.description == "198.51.100.7", "\(text)")
        }
    }
}
