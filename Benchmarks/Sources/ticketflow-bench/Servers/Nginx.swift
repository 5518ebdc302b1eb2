import Foundation

/// An nginx of this run's own: one worker, connections to the server behind it kept open.
final class Nginx {
    let port: Int
    private let process: ChildProcess

    /// - Parameter upstream: the port of the server behind it.
    init(in folder: String, port: Int, upstream: Int) throws {
        self.port = port
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try """
        worker_processes 1;
        daemon off;
        pid \(folder)/pid;
        error_log \(folder)/errors;
        events { worker_connections 4096; }
        http {
            access_log off;
            client_body_temp_path \(folder)/body;
            proxy_temp_path \(folder)/proxy;
            fastcgi_temp_path \(folder)/fastcgi;
            uwsgi_temp_path \(folder)/uwsgi;
            scgi_temp_path \(folder)/scgi;
            keepalive_requests 1000000000;
            upstream behind { server 127.0.0.1:\(upstream); keepalive 256; keepalive_requests 1000000000; }
            server {
                listen 127.0.0.1:\(port) backlog=4096;
                location / {
                    proxy_pass http://behind;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                }
            }
        }

        """.write(toFile: "\(folder)/nginx.conf", atomically: true, encoding: .utf8)
        process = try ChildProcess(["/usr/sbin/nginx", "-c", "\(folder)/nginx.conf", "-e", "\(folder)/errors"], output: "\(folder)/output")
    }

    func stop() {
        process.stop()
    }
}
