// The search runs in a worker, which browsers refuse to pages that were opened from files. There a hidden frame takes its place,
// so that the site needs no server and asks none. (mkdocs-material would load such a script from another server.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inner = frame.contentWindow
      this.waiting = []
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = this.inner.document.createElement("script")
      script.src = url
      script.onload = () => {
        this.waiting.forEach(data => this.deliver(data))
        this.waiting = null
      }
      this.inner.document.body.append(script)
    }

    deliver(data) {
      this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }))
    }

    postMessage(data) {
      this.waiting ? this.waiting.push(data) : this.deliver(data)
    }
  }
}
