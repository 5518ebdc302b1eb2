/// Writes a value straight into the bytes of its JSON.
///
/// Containers that are open form a stack: writing to an outer one closes those within. The members of an object are put in the
/// order of their keys when it is closed, so that equal values have equal bytes.
///
/// Values that are being encoded reach it by its address (`JSONSlot`): as an object it was retained and released at every step, which was
/// a quarter of what writing cost.
struct JSONWriter {
    private var bytes: [UInt8] = []
    private var open: [Container] = []
    /// Of all open objects, those of an inner one behind those of the outer.
    private var members: [Member] = []
    private var slots: Int32 = 0
    /// Where members are put in order.
    private var scratch: [UInt8] = []

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

    private init() {
        bytes.reserveCapacity(1_024)
        open.reserveCapacity(8)
        members.reserveCapacity(32)
    }

    static func document(_ value: some Encodable) throws -> [UInt8] {
        var writer = JSONWriter()
        try withUnsafeMutablePointer(to: &writer) { writer in try unsafe encode(value, to: writer) }
        return writer.bytes
    }

    /// Writes a value where one may stand now. The value writes its parts by the same address, so nothing is held of the writer meanwhile.
    fileprivate static func encode<Value: Encodable>(_ value: Value, to writer: UnsafeMutablePointer<JSONWriter>) throws {
        let depth = unsafe writer.pointee.open.count
        let start = unsafe writer.pointee.bytes.count
        unsafe writer.pointee.slots &+= 1
        try unsafe value.encode(to: JSONSlot(writer: writer, slot: writer.pointee.slots, depth: Int32(depth)))
        unsafe writer.pointee.close(downTo: depth)
        if unsafe writer.pointee.bytes.count == start { unsafe writer.pointee.bytes += [UInt8(ascii: "{"), UInt8(ascii: "}")] }
    }

    /// The container of the value whose slot this is, at this depth.
    fileprivate mutating func begin(slot: Int32, depth: Int, isObject: Bool) {
        close(downTo: depth + 1)
        if open.count > depth {
            precondition(open[depth].slot == slot && open[depth].isObject == isObject, "a value asked for two kinds of container")
            return
        }
        open.append(Container(slot: slot, isObject: isObject, start: bytes.count, firstMember: members.count))
        bytes.append(isObject ? UInt8(ascii: "{") : UInt8(ascii: "["))
    }

    fileprivate mutating func beginMember(_ key: String, depth: Int) {
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

    fileprivate mutating func beginElement(depth: Int) {
        close(downTo: depth + 1)
        if open[depth].count > 0 { bytes.append(UInt8(ascii: ",")) }
        open[depth].count += 1
    }

    fileprivate func count(depth: Int) -> Int { open[depth].count }

    private mutating func close(downTo depth: Int) {
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
    private mutating func sort(_ container: Container) {
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

    fileprivate mutating func write(_ text: String) { bytes.appendJSON(text) }
    fileprivate mutating func write(_ value: Bool) { bytes.appendJSON(value) }
    fileprivate mutating func writeNull() { bytes += "null".utf8 }
    fileprivate mutating func write(_ value: some FixedWidthInteger) { bytes.appendJSON(value) }

    fileprivate mutating func write(_ value: Double) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: "JSON has no number for \(value)"))
        }
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return write(whole) }
        bytes += value.description.utf8
    }
}

/// Where one value is written. Of two words without anything to count, which fit into an `any Encoder`. Lives as long as the value is
/// being written, and no longer. Does not say where in the document it is: no type of this program asks.
@safe private struct JSONSlot: Encoder {
    let writer: UnsafeMutablePointer<JSONWriter>
    let slot: Int32
    let depth: Int32

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        unsafe writer.pointee.begin(slot: slot, depth: Int(depth), isObject: true)
        return unsafe KeyedEncodingContainer(JSONObjectSlot(writer: writer, depth: Int(depth)))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        unsafe writer.pointee.begin(slot: slot, depth: Int(depth), isObject: false)
        return unsafe JSONArraySlot(writer: writer, depth: Int(depth))
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension JSONSlot: SingleValueEncodingContainer {
    func encodeNil() { unsafe writer.pointee.writeNull() }
    func encode(_ value: Bool) { unsafe writer.pointee.write(value) }
    func encode(_ value: String) { unsafe writer.pointee.write(value) }
    func encode(_ value: Double) throws { try unsafe writer.pointee.write(value) }
    func encode(_ value: Float) throws { try unsafe writer.pointee.write(Double(value)) }
    func encode(_ value: Int) { unsafe writer.pointee.write(value) }
    func encode(_ value: Int8) { unsafe writer.pointee.write(value) }
    func encode(_ value: Int16) { unsafe writer.pointee.write(value) }
    func encode(_ value: Int32) { unsafe writer.pointee.write(value) }
    func encode(_ value: Int64) { unsafe writer.pointee.write(value) }
    func encode(_ value: UInt) { unsafe writer.pointee.write(value) }
    func encode(_ value: UInt8) { unsafe writer.pointee.write(value) }
    func encode(_ value: UInt16) { unsafe writer.pointee.write(value) }
    func encode(_ value: UInt32) { unsafe writer.pointee.write(value) }
    func encode(_ value: UInt64) { unsafe writer.pointee.write(value) }
    func encode(_ value: some Encodable) throws { try value.encode(to: self) }
}

@safe private struct JSONObjectSlot<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writer: UnsafeMutablePointer<JSONWriter>
    let depth: Int

    var codingPath: [any CodingKey] { [] }

    private func member(_ key: Key) -> UnsafeMutablePointer<JSONWriter> {
        unsafe writer.pointee.beginMember(key.stringValue, depth: depth)
        return unsafe writer
    }

    func encodeNil(forKey key: Key) { unsafe member(key).pointee.writeNull() }
    func encode(_ value: Bool, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: String, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: Double, forKey key: Key) throws { try unsafe member(key).pointee.write(value) }
    func encode(_ value: Float, forKey key: Key) throws { try unsafe member(key).pointee.write(Double(value)) }
    func encode(_ value: Int, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: Int8, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: Int16, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: Int32, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: Int64, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: UInt, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: UInt8, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: UInt16, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: UInt32, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: UInt64, forKey key: Key) { unsafe member(key).pointee.write(value) }
    func encode(_ value: some Encodable, forKey key: Key) throws { try unsafe JSONWriter.encode(value, to: member(key)) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        unsafe member(key).pointee.begin(slot: 0, depth: depth + 1, isObject: true)
        return unsafe KeyedEncodingContainer(JSONObjectSlot<Nested>(writer: writer, depth: depth + 1))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        unsafe member(key).pointee.begin(slot: 0, depth: depth + 1, isObject: false)
        return unsafe JSONArraySlot(writer: writer, depth: depth + 1)
    }

    func superEncoder() -> any Encoder { preconditionFailure("no type of this program has a superclass that is encoded") }
    func superEncoder(forKey key: Key) -> any Encoder { superEncoder() }
}

@safe private struct JSONArraySlot: UnkeyedEncodingContainer {
    let writer: UnsafeMutablePointer<JSONWriter>
    let depth: Int

    var codingPath: [any CodingKey] { [] }
    var count: Int { unsafe writer.pointee.count(depth: depth) }

    private func element() -> UnsafeMutablePointer<JSONWriter> {
        unsafe writer.pointee.beginElement(depth: depth)
        return unsafe writer
    }

    func encodeNil() { unsafe element().pointee.writeNull() }
    func encode(_ value: Bool) { unsafe element().pointee.write(value) }
    func encode(_ value: String) { unsafe element().pointee.write(value) }
    func encode(_ value: Double) throws { try unsafe element().pointee.write(value) }
    func encode(_ value: Float) throws { try unsafe element().pointee.write(Double(value)) }
    func encode(_ value: Int) { unsafe element().pointee.write(value) }
    func encode(_ value: Int8) { unsafe element().pointee.write(value) }
    func encode(_ value: Int16) { unsafe element().pointee.write(value) }
    func encode(_ value: Int32) { unsafe element().pointee.write(value) }
    func encode(_ value: Int64) { unsafe element().pointee.write(value) }
    func encode(_ value: UInt) { unsafe element().pointee.write(value) }
    func encode(_ value: UInt8) { unsafe element().pointee.write(value) }
    func encode(_ value: UInt16) { unsafe element().pointee.write(value) }
    func encode(_ value: UInt32) { unsafe element().pointee.write(value) }
    func encode(_ value: UInt64) { unsafe element().pointee.write(value) }
    func encode(_ value: some Encodable) throws { try unsafe JSONWriter.encode(value, to: element()) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        unsafe element().pointee.begin(slot: 0, depth: depth + 1, isObject: true)
        return unsafe KeyedEncodingContainer(JSONObjectSlot<Nested>(writer: writer, depth: depth + 1))
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        unsafe element().pointee.begin(slot: 0, depth: depth + 1, isObject: false)
        return unsafe JSONArraySlot(writer: writer, depth: depth + 1)
    }

    func superEncoder() -> any Encoder { preconditionFailure("no type of this program has a superclass that is encoded") }
}
