/// An instance as a registry of Eureka's protocol is told of it.
struct RegisteredInstance: Sendable {
    static let application = "BENCH"

    /// Unique within the application.
    let number: Int

    var id: String { "10.0.\(number / 250).\(number % 250):bench:8080" }

    var registration: Request {
        let address = "10.0.\(number / 250).\(number % 250)"
        return Request(
            "POST", "/eureka/apps/\(RegisteredInstance.application)",
            body: """
                {"instance":{"instanceId":"\(id)","hostName":"host-\(number).example.org","app":"\(RegisteredInstance.application)",\
                "ipAddr":"\(address)","status":"UP","overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},\
                "securePort":{"$":443,"@enabled":"false"},"countryId":1,"dataCenterInfo":{"@class":\
                "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},"leaseInfo":{"renewalIntervalInSecs":30,\
                "durationInSecs":90},"metadata":{"zone":"a","management.port":"8080"},"homePageUrl":"http://\(address):8080/",\
                "statusPageUrl":"http://\(address):8080/info","healthCheckUrl":"http://\(address):8080/health",\
                "vipAddress":"bench","secureVipAddress":"bench","isCoordinatingDiscoveryServer":"false",\
                "lastUpdatedTimestamp":"1","lastDirtyTimestamp":"1"}}
                """)
    }

    var heartbeat: Request {
        Request("PUT", "/eureka/apps/\(RegisteredInstance.application)/\(id)?status=UP&lastDirtyTimestamp=1")
    }
}

/// Registers once.
struct Registration: Script {
    let instance: RegisteredInstance

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(204, "POST /eureka/apps/{APP}")
            turn.complete()
            return .stop
        }
        turn.begin()
        instance.registration.write(to: &turn.out)
        return .request
    }
}
