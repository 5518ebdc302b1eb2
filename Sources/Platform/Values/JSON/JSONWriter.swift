/// Writes a value straight into the bytes of its JSON.
///
/// Containers that are open form a stack: writing to an outer one closes those within. The members of an object are put in the
/// order of their keys when it is closed, so that equal values have equal bytes.
///
/// That its fields are used by one at a time is seen here: nothing of it calls a value to be encoded while it works on one of them. The
/// check of it at run time, at each access, was a good part of what writing cost.
final class JSONWriter {
    @exclusivity(unchecked) private(set) var bytes: [UInt8] = []
    @exclusivity(unchecked) private var open: [Container] = []
    /// Of all open objects, those of an inner one behind those of the outer.
    @exclusivity(unchecked) private var members: [Member] = []
    @exclusivity(unchecked) private var slots: Int32 = 0
    /// Where members are put in order.
    @exclusivity(unchecked) private var scratch: [UInt8] = []

    /// An object or an array that is not closed yet.
    private struct Container {
        /// Of the value that it is. A value that asks for its container twice gets the same.
        let slot: Int32
        let isObject: Bool
        let start: Int
        /// Of an object: its first in `members`.
        let firstMember: Int
        var count = 0
        var isSorted = true
    }

    /// Where a member begins, and where its key ends.
    private struct Member {
        let start: Int
        let keyEnd: Int
    }

    init() {
        bytes.reserveCapacity(1_024)
        open.reserveCapacity(8)
        members.reserveCapacity(32)
    }

    func writeDocument(_ value: some Encodable) throws {
        try encode(value, path: [])
        close(downTo: 0)
    }

    /// Writes a value where one may stand now.
    fileprivate func encode<Value: Encodable>(_ value: Value, path: [any CodingKey]) throws {
        let depth = open.count
        let start = bytes.count
        slots &+= 1
        try value.encode(to: JSONSlot(writer: self, slot: slots, depth: Int32(depth), path: path))
        close(downTo: depth)
        if bytes.count == start { bytes += [UInt8(ascii: "{"), UInt8(ascii: "}")] }
    }

    /// The container of the value whose slot this is, at this depth.
    fileprivate func begin(slot: Int32, depth: Int, isObject: Bool) {
        close(downTo: depth + 1)
        if open.count > depth {
            precondition(open[depth].slot == slot && open[depth].isObject == isObject, "a value asked for two kinds of container")
            return
        }
        open.append(Container(slot: slot, isObject: isObject, start: bytes.count, firstMember: members.count))
        bytes.append(isObject ? UInt8(ascii: "{") : UInt8(ascii: "["))
    }

    fileprivate func beginMember(_ key: String, depth: Int) {
        close(downTo: depth + 1)
        if open[depth].count > 0 { bytes.append(UInt8(ascii: ",")) }
        let start = bytes.count
        write(key)
        let member = Member(start: start, keyEnd: bytes.count)
        bytes.append(UInt8(ascii: ":"))
        if open[depth].count > 0, open[depth].isSorted { open[depth].isSorted = isKey(members[members.count - 1], before: member) }
        members.append(member)
        open[depth].count += 1
    }

    fileprivate func beginElement(depth: Int) {
        close(downTo: depth + 1)
        if open[depth].count > 0 { bytes.append(UInt8(ascii: ",")) }
        open[depth].count += 1
    }

    fileprivate func count(depth: Int) -> Int { open[depth].count }

    private func close(downTo depth: Int) {
        while open.count > depth {
            let container = open.removeLast()
            if container.isObject {
                if !container.isSorted { sort(container) }
                members.removeLast(members.count - container.firstMember)
            }
            bytes.append(container.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
        }
    }

    private func isKey(_ a: Member, before b: Member) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            let (lengthOfA, lengthOfB) = (a.keyEnd - a.start, b.keyEnd - b.start)
            for offset in 0..<min(lengthOfA, lengthOfB) {
                let (byteOfA, byteOfB) = unsafe (bytes[a.start + offset], bytes[b.start + offset])
                if byteOfA != byteOfB { return byteOfA < byteOfB }
            }
            return lengthOfA < lengthOfB
        }
    }

    /// By insertion: objects have few members, most of them in order.
    private func sort(_ container: Container) {
        // Each with its end, before its place says that no more.
        var sorted: [(member: Member, end: Int)] = []
        sorted.reserveCapacity(container.count)
        for index in container.firstMember..<members.count {
            let member = members[index]
            let end = index + 1 < members.count ? members[index + 1].start - 1 : bytes.count
            var place = sorted.count
            while place > 0, isKey(member, before: sorted[place - 1].member) { place -= 1 }
            sorted.insert((member, end), at: place)
        }
        scratch.removeAll(keepingCapacity: true)
        for (member, end) in sorted {
            scratch.append(scratch.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            scratch.append(contentsOf: bytes[member.start..<end])
        }
        bytes.removeLast(bytes.count - container.start)
        bytes.append(contentsOf: scratch)
    }

    fileprivate func write(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var plain = 0
            for index in 0..<utf8.count {
                let byte = unsafe utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain..<index]))
                plain = index + 1
                escape(byte)
            }
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes += "u00".utf8
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    fileprivate func write(_ value: Bool) {
        bytes += value ? "true".utf8 : "false".utf8
    }

    fileprivate func writeNull() {
        bytes += "null".utf8
    }

    fileprivate func write(_ value: some FixedWidthInteger) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let first = bytes.count
        var rest = value.magnitude
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            bytes.append(48 + UInt8(digit))
            rest = quotient
        } while rest > 0
        if bytes.count - first > 1 { bytes[first...].reverse() }
    }

    fileprivate func write(_ value: Double, path: [any CodingKey]) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: "JSON has no number for \(value)"))
        }
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return write(whole) }
        bytes += value.description.utf8
    }
}

/// Where one value is written. Of three words, which fit into an `any Encoder` without memory of their own.
private struct JSONSlot: Encoder {
    let writer: JSONWriter
    let slot: Int32
    let depth: Int32
    let path: [any CodingKey]

    var codingPath: [any CodingKey] { path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        writer.begin(slot: slot, depth: Int(depth), isObject: true)
        return KeyedEncodingContainer(JSONObjectSlot(writer: writer, depth: Int(depth), codingPath: path))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        writer.begin(slot: slot, depth: Int(depth), isObject: false)
        return JSONArraySlot(writer: writer, depth: Int(depth), codingPath: path)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension JSONSlot: SingleValueEncodingContainer {
    func encodeNil() { writer.writeNull() }
    func encode(_ value: Bool) { writer.write(value) }
    func encode(_ value: String) { writer.write(value) }
    func encode(_ value: Double) throws { try writer.write(value, path: path) }
    func encode(_ value: Float) throws { try writer.write(Double(value), path: path) }
    func encode(_ value: Int) { writer.write(value) }
    func encode(_ value: Int8) { writer.write(value) }
    func encode(_ value: Int16) { writer.write(value) }
    func encode(_ value: Int32) { writer.write(value) }
    func encode(_ value: Int64) { writer.write(value) }
    func encode(_ value: UInt) { writer.write(value) }
    func encode(_ value: UInt8) { writer.write(value) }
    func encode(_ value: UInt16) { writer.write(value) }
    func encode(_ value: UInt32) { writer.write(value) }
    func encode(_ value: UInt64) { writer.write(value) }
    func encode(_ value: some Encodable) throws { try value.encode(to: self) }
}

private struct JSONObjectSlot<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writer: JSONWriter
    let depth: Int
    let codingPath: [any CodingKey]

    private func member(_ key: Key) -> JSONWriter {
        writer.beginMember(key.stringValue, depth: depth)
        return writer
    }

    func encodeNil(forKey key: Key) { member(key).writeNull() }
    func encode(_ value: Bool, forKey key: Key) { member(key).write(value) }
    func encode(_ value: String, forKey key: Key) { member(key).write(value) }
    func encode(_ value: Double, forKey key: Key) throws { try member(key).write(value, path: codingPath + [key]) }
    func encode(_ value: Float, forKey key: Key) throws { try member(key).write(Double(value), path: codingPath + [key]) }
    func encode(_ value: Int, forKey key: Key) { member(key).write(value) }
    func encode(_ value: Int8, forKey key: Key) { member(key).write(value) }
    func encode(_ value: Int16, forKey key: Key) { member(key).write(value) }
    func encode(_ value: Int32, forKey key: Key) { member(key).write(value) }
    func encode(_ value: Int64, forKey key: Key) { member(key).write(value) }
    func encode(_ value: UInt, forKey key: Key) { member(key).write(value) }
    func encode(_ value: UInt8, forKey key: Key) { member(key).write(value) }
    func encode(_ value: UInt16, forKey key: Key) { member(key).write(value) }
    func encode(_ value: UInt32, forKey key: Key) { member(key).write(value) }
    func encode(_ value: UInt64, forKey key: Key) { member(key).write(value) }
    func encode(_ value: some Encodable, forKey key: Key) throws { try member(key).encode(value, path: codingPath) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        member(key).begin(slot: 0, depth: depth + 1, isObject: true)
        return KeyedEncodingContainer(JSONObjectSlot<Nested>(writer: writer, depth: depth + 1, codingPath: codingPath + [key]))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        member(key).begin(slot: 0, depth: depth + 1, isObject: false)
        return JSONArraySlot(writer: writer, depth: depth + 1, codingPath: codingPath + [key])
    }

    func superEncoder() -> any Encoder { preconditionFailure("no type of this program has a superclass that is encoded") }
    func superEncoder(forKey key: Key) -> any Encoder { superEncoder() }
}

private struct JSONArraySlot: UnkeyedEncodingContainer {
    let writer: JSONWriter
    let depth: Int
    let codingPath: [any CodingKey]

    var count: Int { writer.count(depth: depth) }

    private func element() -> JSONWriter {
        writer.beginElement(depth: depth)
        return writer
    }

    func encodeNil() { element().writeNull() }
    func encode(_ value: Bool) { element().write(value) }
    func encode(_ value: String) { element().write(value) }
    func encode(_ value: Double) throws { try element().write(value, path: codingPath) }
    func encode(_ value: Float) throws { try element().write(Double(value), path: codingPath) }
    func encode(_ value: Int) { element().write(value) }
    func encode(_ value: Int8) { element().write(value) }
    func encode(_ value: Int16) { element().write(value) }
    func encode(_ value: Int32) { element().write(value) }
    func encode(_ value: Int64) { element().write(value) }
    func encode(_ value: UInt) { element().write(value) }
    func encode(_ value: UInt8) { element().write(value) }
    func encode(_ value: UInt16) { element().write(value) }
    func encode(_ value: UInt32) { element().write(value) }
    func encode(_ value: UInt64) { element().write(value) }
    func encode(_ value: some Encodable) throws { try element().encode(value, path: codingPath) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        element().begin(slot: 0, depth: depth + 1, isObject: true)
        return KeyedEncodingContainer(JSONObjectSlot<Nested>(writer: writer, depth: depth + 1, codingPath: codingPath))
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        element().begin(slot: 0, depth: depth + 1, isObject: false)
        return JSONArraySlot(writer: writer, depth: depth + 1, codingPath: codingPath)
    }

    func superEncoder() -> any Encoder { preconditionFailure("no type of this program has a superclass that is encoded") }
}
