/// The values of a statement in the order of their `?`. Texts and bytes stand one behind the other in one room, so that a statement of a
/// hundred values is not a hundred objects.
public struct SQLValues: Sendable {
    enum Value: Sendable {
        case null(SQLType)
        case integer(Int64)
        case boolean(Bool)
        /// Where it stands in the room.
        case text(Range<Int>)
        case bytes(Range<Int>)
    }

    private(set) var places: [Value] = []
    private(set) var room: [UInt8] = []

    var count: Int { places.count }

    mutating func reserveCapacity(_ count: Int) {
        places.reserveCapacity(count)
        room.reserveCapacity(32 * count)
    }

    mutating func appendNull(_ type: SQLType) {
        places.append(.null(type))
    }

    mutating func append(_ value: Int64) {
        places.append(.integer(value))
    }

    mutating func append(_ value: Bool) {
        places.append(.boolean(value))
    }

    mutating func append(bytes: [UInt8]) {
        let start = room.count
        room += bytes
        places.append(.bytes(start..<room.count))
    }

    mutating func append(text: String) {
        appendText { $0 += text.utf8 }
    }

    /// - Parameter write: appends a text in UTF-8.
    mutating func appendText(_ write: (inout [UInt8]) -> Void) {
        let start = room.count
        write(&room)
        places.append(.text(start..<room.count))
    }

    mutating func append(_ other: SQLValues) {
        guard count > 0 else {
            places += other.places
            room += other.room
            return
        }
        let start = room.count
        room += other.room
        for value in other.places {
            switch value {
            case .text(let range): places.append(.text(start + range.lowerBound..<start + range.upperBound))
            case .bytes(let range): places.append(.bytes(start + range.lowerBound..<start + range.upperBound))
            case .null, .integer, .boolean: places.append(value)
            }
        }
    }
}
